"""Folders put together by the dense model they are about: a digest alone proves that two are about the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fwsvd_export.report.page.facts import Base, BenchFacts, CheckpointFacts, Facts, LossFacts, SweepFacts
from fwsvd_export.storage.names import without_folders
from fwsvd_export.wording import shortest_names


@dataclass(frozen=True)
class ChapterFacts:
    """Everything that is known about one dense model.

    Attributes:
        name: what it is called.
        base: its name as it was given, and the digest of its weights.
        sweeps: in the order in which their folders were given, as all of these.
        benches: of it and of compressed models.
        checkpoints: made from it.
        losses: of its layers.
    """

    name: str
    base: Base
    sweeps: tuple[SweepFacts, ...]
    benches: tuple[BenchFacts, ...]
    checkpoints: tuple[CheckpointFacts, ...]
    losses: tuple[LossFacts, ...]

    @property
    def methods(self) -> dict[str, str]:
        """SHA-256 of the checkpoints' weights -> method that made them."""
        return {facts.sha256: facts.record.method for facts in self.checkpoints if facts.sha256 is not None}

    @property
    def shares(self) -> dict[str, float]:
        """SHA-256 of the checkpoints' weights -> share of the encoder's linear weights that they use."""
        return {facts.sha256: facts.record.parameters.ratio for facts in self.checkpoints if facts.sha256 is not None}


def chapters_of(found: Iterable[Facts]) -> list[ChapterFacts]:
    """The facts by dense model, in the order in which the models come first.

    Folders are put together when the digests of their dense models are the same. One that has no digest stands in a
    chapter of its own: that two models have one name does not make them one.

    Args:
        found: of all folders.
    """
    groups: dict[object, list[Facts]] = {}
    for facts in found:
        key: object = facts.base.sha256 if facts.base.sha256 is not None else id(facts)
        groups.setdefault(key, []).append(facts)
    names = _names([facts[0].base for facts in groups.values()])
    return [_chapter(name, facts) for name, facts in zip(names, groups.values(), strict=True)]


def _names(bases: Sequence[Base]) -> list[str]:
    """What the models are called: their names without folders, and where two are the same the digest behind it."""
    given = [without_folders(base.name).rstrip("/") or "model" for base in bases]
    short = given if len(set(given)) < len(given) else shortest_names(given)
    return [
        name if short.count(name) == 1 else f"{name} ({base.sha256[:8] if base.sha256 else f'number {place + 1}'})"
        for place, (name, base) in enumerate(zip(short, bases, strict=True))
    ]


def _chapter(name: str, found: Sequence[Facts]) -> ChapterFacts:
    return ChapterFacts(
        name,
        found[0].base,
        tuple(facts for facts in found if isinstance(facts, SweepFacts)),
        tuple(facts for facts in found if isinstance(facts, BenchFacts)),
        tuple(facts for facts in found if isinstance(facts, CheckpointFacts)),
        tuple(facts for facts in found if isinstance(facts, LossFacts)),
    )
