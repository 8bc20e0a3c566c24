"""``results.json`` of ``bench``: accuracy, size and latency of several models side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import FwsvdExportError, shown
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Number, Words
from fwsvd_export.wording import shortest_names

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class BenchTiming:
    """Milliseconds of one call at one shape under one runtime.

    Attributes:
        runtime: what ran the model.
        batch_size: examples at once.
        length: tokens of each.
        median_ms: over all rounds.
        p90_ms: 90th percentile over all rounds.
        round_medians_ms: median of each round.
        speedup: against the first model under the same runtime: the median over rounds of the ratio within a round.
        flops_ratio: how many times fewer operations than the first model's.
    """

    runtime: str
    batch_size: Count
    length: Count
    median_ms: Number
    p90_ms: Number
    round_medians_ms: tuple[Number, ...] = ()
    speedup: Number | None = None
    flops_ratio: Number | None = None


@dataclass(frozen=True)
class BenchThroughput:
    """Sequences per second of a whole pass over a text in batches of similar length, tokenised before.

    Attributes:
        sequences: of one pass.
        batch_size: examples at once; of pairs that are embedded, two sequences each.
        median: sequences per second, over all rounds.
        rounds: of each round.
        gain: against the first model under the same runtime: the median over rounds of the ratio within a round.
    """

    sequences: Count
    batch_size: Count
    median: Number
    rounds: tuple[Number, ...]
    gain: Number


@dataclass(frozen=True)
class BenchRuntime:
    """What a model is under one runtime.

    Attributes:
        file_bytes: size of the file that is read.
        value: metric; None when only speed was measured.
        beside: further metrics by name.
        difference: of the metric from the first model's under the same runtime; None for the first model, and in
            results of earlier versions.
        throughput: None where it was not asked for.
    """

    file_bytes: Count
    value: Number | None = None
    beside: dict[str, Number] = field(default_factory=dict)
    difference: Difference | None = None
    throughput: BenchThroughput | None = None


@dataclass(frozen=True, kw_only=True)
class BenchModel:
    """One model; ``metric``, ``value`` and ``examples`` are None when only speed was measured.

    Attributes:
        model: as it was given.
        sha256: of its weights file; None when the weights are in several files.
        parameters: all of them.
        file_bytes: of the file that the first runtime reads.
        metric: name of the task's metric.
        value: under the first runtime.
        examples: how many it was measured on.
        runtimes: runtime -> what the model is under it.
        latency: a row per runtime and shape.
        name: what tables and figures call it; None in results of earlier versions.
        difference: from the first model, under the first runtime; None as in ``BenchRuntime``.
    """

    model: str
    sha256: str | None
    parameters: Count
    file_bytes: Count | None = None
    metric: str | None
    value: Number | None
    examples: Count | None
    runtimes: dict[str, BenchRuntime]
    latency: tuple[BenchTiming, ...]
    name: str | None = None
    difference: Difference | None = None


@dataclass(frozen=True, kw_only=True)
class BenchEnvironment(Environment):
    """Machine, plan and data; ``task`` and ``data`` are None when only speed was measured."""

    rounds: Count
    repeats: Count
    task: str | None
    data: str | None


@dataclass(frozen=True)
class BenchResult(JsonRecord):
    """All models, the dense one first, and what their numbers depend on.

    Attributes:
        models: as above.
        environment: likewise.
        command: what was typed, without local folders; None for models in memory, and in results of earlier versions.
    """

    models: tuple[BenchModel, ...]
    environment: BenchEnvironment
    command: Words | None = None
    remedy = "measure again with this version's bench -o"

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str, error_class: type[FwsvdExportError]) -> Self:
        """As ``JsonRecord`` does; refuses a metric without a value too."""
        result = super().from_json(document, place, error_class)
        for number, model in enumerate(result.models):
            missing = _missing_beside_metric(model, result.environment)
            if missing:
                raise error_class(f"{place}: models[{number}] has a metric and no {missing}; {cls.remedy}")
        return result

    def renamed(self, name: Callable[[str], str]) -> BenchResult:
        """The same result with other names of the models, wherever they stand."""

        def than(difference: Difference | None) -> Difference | None:
            return None if difference is None else replace(difference, against=name(difference.against))

        models = []
        for model in self.models:
            runtimes = {at: replace(found, difference=than(found.difference)) for at, found in model.runtimes.items()}
            own = than(model.difference)
            models.append(replace(model, model=name(model.model), difference=own, runtimes=runtimes))
        return replace(self, models=tuple(models))


def display_names(models: Sequence[BenchModel]) -> list[str]:
    """What tables and figures call the models of a benchmark: names as short as tells them apart."""
    shortest = shortest_names([model.model for model in models])
    return [model.name or name for model, name in zip(models, shortest, strict=True)]


def _missing_beside_metric(model: BenchModel, environment: BenchEnvironment) -> str:
    """What must be there where a metric was measured, and is not."""
    if model.metric is None:
        return ""
    needed: dict[str, object] = {
        "examples": model.examples,
        "environment.task": environment.task,
        "environment.data": environment.data,
    }
    needed |= {f"value under {shown(runtime)}": found.value for runtime, found in model.runtimes.items()}
    return next((name for name, value in needed.items() if value is None), "")
