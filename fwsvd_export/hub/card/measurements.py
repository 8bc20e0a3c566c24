"""``measurements.json``: what was measured of a compressed model and of its base, as far as digests prove it.

It keeps ``evaluate``'s and ``bench``'s own fields. What is stored is checked against the weights again when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.result import BenchEnvironment, BenchModel, BenchResult
from fwsvd_export.errors import CardError
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.result import Evaluation
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.file_names import MEASUREMENTS_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.names import without_folders
from fwsvd_export.storage.schema import Count, Number, check_format, read_as, to_builtins

MEASUREMENTS_FORMAT = 1
DENSE, COMPRESSED = "dense", "compressed"
TORCH = "torch"
_REMEDY = "take the file away and give card the --results again"

Digests = Mapping[str, str | None]
"""``dense`` and ``compressed`` -> SHA-256 of the weights file."""


@dataclass(frozen=True)
class Published:
    """The id and the revision on the Hub that the card's lines load."""

    repo_id: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreEnvironment(Environment):
    """Where a score was measured; the last two are None when it does not come from a bench."""

    rounds: Count | None = None
    repeats: Count | None = None


@dataclass(frozen=True)
class Score:
    """A metric of one of the two models, which ``model`` names: ``dense`` or ``compressed``.

    ``difference`` is the compressed model's from the base; None where that was not measured, or from other weights.
    """

    model: str
    sha256: str | None
    task: str
    data: str
    runtime: str
    metric: str
    value: Number
    beside: dict[str, Number]
    examples: Count
    environment: ScoreEnvironment
    difference: Difference | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What only the newest score of is kept."""
        return self.model, self.task, self.data, self.runtime


@dataclass(frozen=True)
class FileSize:
    """Bytes of the file that a runtime reads."""

    file_bytes: Count


@dataclass(frozen=True)
class Latency:
    """Milliseconds at one shape; the ratios are None when they are not to the base."""

    runtime: str
    batch_size: Count
    length: Count
    median_ms: Number
    p90_ms: Number
    speedup: Number | None = None
    flops_ratio: Number | None = None


@dataclass(frozen=True)
class RunModel:
    """Sizes and latency of one of the two models in a bench."""

    model: str
    sha256: str | None
    parameters: Count
    runtimes: dict[str, FileSize]
    latency: tuple[Latency, ...]


@dataclass(frozen=True)
class Run:
    """A bench, cut down to the two models."""

    environment: ScoreEnvironment
    models: tuple[RunModel, ...]

    @property
    def machine(self) -> tuple[str, int | None]:
        """What only the newest run of is kept."""
        return self.environment.cpu, self.environment.threads


@dataclass(frozen=True)
class Measurements:
    """The content of ``measurements.json``; docs/formats.md describes every field."""

    format: Count = MEASUREMENTS_FORMAT
    published: Published | None = None
    scores: tuple[Score, ...] = ()
    runs: tuple[Run, ...] = ()

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str = MEASUREMENTS_FILE) -> Measurements:
        """The measurements in a JSON object.

        Args:
            document: as it was read.
            place: the file, as the user knows it.

        Raises:
            CardError: a later format, or a field that is missing or holds something else.
        """
        check_format(document, MEASUREMENTS_FORMAT, place, CardError, _REMEDY)
        return read_as(cls, document, place, CardError, _REMEDY)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file: what was not measured is left out."""
        content: dict[str, Any] = to_builtins(self)
        for score in content["scores"]:
            if score["difference"] is None:
                del score["difference"]
        rows = [*content["scores"], *content["runs"]]
        optional = [row["environment"] for row in rows]
        optional += [timing for run in content["runs"] for model in run["models"] for timing in model["latency"]]
        for row in optional:
            for name in ("rounds", "repeats", "speedup", "flops_ratio"):
                if row.get(name, 0) is None:
                    del row[name]
        return content

    def about(self, digests: Digests) -> Measurements:
        """What was measured of these weights."""
        known = (score for score in self.scores if digests.get(score.model) == score.sha256 is not None)
        scores = tuple(replace(score, difference=_from_base(score.difference, digests)) for score in known)
        cut = (
            replace(run, models=tuple(row for row in run.models if digests.get(row.model) == row.sha256 is not None))
            for run in self.runs
        )
        return replace(self, scores=scores, runs=tuple(run for run in cut if run.models))

    def with_scores(self, *scores: Score) -> Measurements:
        """A newer score of the same model, task, data and runtime replaces the older one."""
        keys = {score.key for score in scores}
        return replace(self, scores=(*(old for old in self.scores if old.key not in keys), *scores))

    def with_run(self, run: Run) -> Measurements:
        """A newer run on the same processor and threads replaces the older one."""
        return replace(self, runs=(*(old for old in self.runs if old.machine != run.machine), run))


def load_measurements(folder: Path, digests: Digests) -> Measurements:
    """What the folder's file holds of these weights; what was measured on other weights is left out.

    Raises:
        CardError: the file is there and damaged.
    """
    if not (folder / MEASUREMENTS_FILE).exists():
        return Measurements()
    document = read_json(folder / MEASUREMENTS_FILE, CardError, MEASUREMENTS_FILE, _REMEDY)
    return Measurements.from_json(document).about(digests)


def with_results(measurements: Measurements, path: Path, digests: Digests) -> Measurements:
    """The measurements with those of a results file; newer ones take the place of older ones.

    Args:
        measurements: from ``load_measurements``.
        path: the output of ``evaluate --json``, or ``results.json`` of ``bench``.
        digests: of the weights that the card is about.

    Raises:
        CardError: the file cannot be read, or nothing in it was measured on these weights.
    """
    if not path.exists():
        raise CardError(f"results file {path} does not exist; make it with evaluate --json or bench -o")
    document = read_json(path, CardError, path.name, "give what evaluate --json prints or bench's results.json")
    if "models" in document:
        bench = BenchResult.from_json(document, path.name, CardError)
        _check_digests([model.sha256 for model in bench.models], path, digests)
        return _with_bench(measurements, bench, digests)
    evaluation = Evaluation.from_json(document, path.name, CardError)
    _check_digests([evaluation.sha256], path, digests)
    return measurements.with_scores(*_scores(evaluation, digests))


def _check_digests(found: list[str | None], path: Path, digests: Digests) -> None:
    if any(_name_of(digest, digests) for digest in found):
        return
    measured = ", ".join((digest or "weights in several files")[:24] for digest in found) or "none"
    own, base = ((digests[name] or "unknown")[:24] for name in (COMPRESSED, DENSE))
    raise CardError(
        f"{path.name} was measured on other weights ({measured}): this model's digest is {own}, its base's {base}; "
        "measure one of these two"
    )


def _name_of(digest: str | None, digests: Digests) -> str | None:
    """``dense`` or ``compressed`` where the digest tells so."""
    return next((name for name, known in digests.items() if known is not None and known == digest), None)


def _scores(found: Evaluation, digests: Digests) -> tuple[Score, ...]:
    """The score of an evaluation, and the base's where it was compared with the base under the same runtime."""
    name = _name_of(found.sha256, digests) or ""
    difference = _from_base(found.difference, digests) if name == COMPRESSED else None
    score = Score(
        model=name,
        sha256=found.sha256,
        **{name: without_folders(getattr(found, name)) for name in ("task", "data", "runtime", "metric")},
        value=found.value,
        beside=found.beside,
        examples=found.examples,
        environment=_environment(found.environment),
        difference=difference,
    )
    if difference is None or found.runtime != TORCH:
        return (score,)
    beside = {name: value - difference.beside[name].value for name, value in found.beside.items()}
    base = replace(score, model=DENSE, sha256=digests[DENSE], value=difference.dense, beside=beside, difference=None)
    return base, score


def _from_base(difference: Difference | None, digests: Digests) -> Difference | None:
    """A difference whose digest says that it is from the base, without local folders; None for any other."""
    if difference is None or digests.get(DENSE) != difference.against_sha256 or difference.against_sha256 is None:
        return None
    return replace(difference, against=without_folders(difference.against))


def _with_bench(measurements: Measurements, bench: BenchResult, digests: Digests) -> Measurements:
    """The measurements with a bench's scores, and with its sizes and latency as one run."""
    named = [(model, _name_of(model.sha256, digests)) for model in bench.models]
    against_dense = named[0][1] == DENSE
    models = []
    for model, name in named:
        if name is not None:
            models.append(_run_model(model, name, against_dense))
            measurements = measurements.with_scores(*_bench_scores(model, bench.environment, name, digests))
    return measurements.with_run(Run(_environment(bench.environment), tuple(models)))


def _bench_scores(model: BenchModel, environment: BenchEnvironment, name: str, digests: Digests) -> list[Score]:
    """The scores of one model in a bench, one per runtime; none when it measured speed alone."""
    if model.metric is None or model.examples is None or environment.task is None or environment.data is None:
        return []
    return [
        Score(
            model=name,
            sha256=model.sha256,
            task=without_folders(environment.task),
            data=without_folders(environment.data),
            runtime=without_folders(runtime),
            metric=without_folders(model.metric),
            value=found.value,
            beside=found.beside,
            examples=model.examples,
            environment=_environment(environment),
            difference=_from_base(found.difference, digests) if name == COMPRESSED else None,
        )
        for runtime, found in model.runtimes.items()
        if found.value is not None
    ]


def _run_model(model: BenchModel, name: str, against_dense: bool) -> RunModel:
    """Sizes and latency. Ratios to another model than the base are left out."""
    latency = (
        Latency(
            without_folders(row.runtime),
            row.batch_size,
            row.length,
            row.median_ms,
            row.p90_ms,
            row.speedup if against_dense else None,
            row.flops_ratio if against_dense else None,
        )
        for row in model.latency
    )
    sizes = {without_folders(runtime): FileSize(found.file_bytes) for runtime, found in model.runtimes.items()}
    return RunModel(name, model.sha256, model.parameters, sizes, tuple(latency))


def _environment(found: Environment) -> ScoreEnvironment:
    bench = found if isinstance(found, BenchEnvironment) else None
    return ScoreEnvironment(
        cpu=without_folders(found.cpu),
        cores=found.cores,
        gpu=None if found.gpu is None else without_folders(found.gpu),
        threads=found.threads,
        versions={name: without_folders(version) for name, version in found.versions.items()},
        rounds=bench.rounds if bench else None,
        repeats=bench.repeats if bench else None,
    )
