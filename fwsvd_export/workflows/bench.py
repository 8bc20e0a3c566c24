"""The pipeline of ``bench``: load, export alike, score, time side by side, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.benchmark.latency import LatencyPlan, Timing, speedup, time_runners
from fwsvd_export.benchmark.operations import forward_operations
from fwsvd_export.benchmark.result import (
    BenchEnvironment,
    BenchModel,
    BenchResult,
    BenchRuntime,
    BenchThroughput,
    BenchTiming,
)
from fwsvd_export.benchmark.run_under import bytes_under, check_runtimes, run_under, runner_of
from fwsvd_export.benchmark.runtimes import (
    CALIBRATED,
    RUNTIME_FILES,
    RUNTIMES,
    TORCH,
    USUAL_RUNTIMES,
    libraries_of,
)
from fwsvd_export.benchmark.throughput import Throughput, gain, time_passes
from fwsvd_export.benchmark.turns import Openers, Runner
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.weights import weights_files
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.comparable import check_same_classes, check_same_head
from fwsvd_export.evaluation.metrics import metric_of
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.export.folder import open_exported
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.libraries import check_libraries
from fwsvd_export.export.place import Place
from fwsvd_export.report.bench import write_bench
from fwsvd_export.runtime.environment import machine
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import ONNX_FOLDER
from fwsvd_export.storage.names import command_line
from fwsvd_export.storage.output import check_output
from fwsvd_export.storage.temporary import scratch_folder
from fwsvd_export.wording import shortest_names
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source, load_source


@dataclass(frozen=True)
class BenchRequest:
    """Everything ``bench`` was asked for.

    Attributes:
        models: the dense model first, then the compressed ones.
        runtimes: of ``RUNTIMES``.
        plan: of the latencies.
        data: to score the models on; None measures speed alone.
        out: folder for results and picture; None keeps nothing.
        overwrite: replace it.
        throughput: texts of the data to measure the throughput on, spread over all lengths; None measures none.
        command: what was typed, for the result.
        calibration: text of the task, without labels, that openvino-int8 needs where models are exported anew.
        exported: run the ONNX files that lie in the models' own folders, in place of exporting every model anew.
    """

    models: tuple[Source, ...]
    runtimes: tuple[str, ...] = USUAL_RUNTIMES
    plan: LatencyPlan = field(default_factory=LatencyPlan)
    data: DataRequest | None = None
    out: Path | None = None
    overwrite: bool = False
    throughput: int | None = None
    command: tuple[str, ...] = ()
    exported: bool = False
    calibration: DataRequest | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.runtimes if name not in RUNTIMES]
        if unknown or not self.runtimes:
            raise DataError(
                f"runtime {','.join(unknown) or 'none'}: any of {', '.join(RUNTIMES)}, separated by commas, is allowed"
            )
        if CALIBRATED in self.runtimes and self.calibration is None and not self.exported:
            raise DataError(
                f"{CALIBRATED} takes the ranges of activations from text of the task: give --task and --calibration "
                "FILE, or leave it out of --runtime"
            )
        if self.calibration is not None and (CALIBRATED not in self.runtimes or self.exported):
            raise DataError(
                f"--calibration is for {CALIBRATED} of models that are exported anew; leave --calibration out"
            )
        if self.throughput is not None:
            if self.throughput < 1:
                raise DataError(f"throughput {self.throughput}: a whole number of texts of at least 1 is allowed")
            if self.data is None:
                raise DataError("--throughput is measured on texts of the data; give --task and --data")
        places = [source.place for source in self.models]
        for source, place in zip(self.models, places, strict=True):
            if places.count(place) > 1:
                raise DataError(
                    f"a model is named twice ({source.model}); name the dense model first and every other one once"
                )


@dataclass(frozen=True)
class _Candidate:
    """One model under test, what tables and progress call it, and the folder that has its ``onnx/``."""

    source: Source
    checkpoint: Checkpoint
    label: str
    folder: Path

    def under(self, runtime: str, threads: int) -> Any:
        """The model, ready to be called under a runtime."""
        if runtime == TORCH:
            return self.checkpoint.model
        return run_under(runtime, self.folder / ONNX_FOLDER, threads)

    def runner(self, runtime: str, threads: int) -> Runner:
        """A function of a batch that runs the model."""
        return runner_of(self.under(runtime, threads), self.checkpoint.encoder.inputs)

    def bytes_of(self, runtime: str) -> int:
        """Size of what the runtime reads."""
        if runtime == TORCH:
            return sum(file.stat().st_size for file in weights_files(self.checkpoint.folder))
        return bytes_under(runtime, self.folder / ONNX_FOLDER)


def run_bench(request: BenchRequest, steps: Steps = silent) -> BenchResult:
    """Measures all models under all runtimes.

    Every model is exported anew, unless ``request.exported``, so that dense and compressed ones get the same treatment.

    Raises:
        CheckpointError, UnsupportedModelError, DataError: a model, or the data, that comes in.
        ExportError: with ``request.exported``, a model that has no ONNX files of its own.
        MissingExtraError: a runtime is not installed.
        OutputError: the folder exists, or the disk is full.
    """
    if request.out is not None:
        check_output(request.out, request.overwrite)
    exported = [runtime for runtime in request.runtimes if runtime != TORCH]
    if exported:
        check_libraries(*libraries_of(request.runtimes), *(("nncf",) if request.calibration else ()))
        check_runtimes(request.runtimes)
    with scratch_folder("bench") as scratch:
        candidates = _candidates(request, scratch)
        _check_lengths(request, candidates)
        data = {} if request.data is None else _batches(request.data, candidates)
        if exported:
            for candidate in candidates:
                _prepare_onnx(candidate, exported, request, steps)
        scores = {
            candidate.source.model: _scores(candidate, request, data.get(candidate.source.model), steps)
            for candidate in candidates
        }
        openers = {
            f"{candidate.label} ({runtime})": partial(candidate.runner, runtime, request.plan.threads)
            for runtime in request.runtimes
            for candidate in candidates
        }
        encoders = [candidate.checkpoint.encoder for candidate in candidates]
        vocabulary = min(encoder.embedding.out_features for encoder in encoders)
        inputs = {name for encoder in encoders for name in encoder.inputs}
        timings = time_runners(openers, request.plan, vocabulary, sorted(inputs), steps=steps)
        passes = _throughputs(request, candidates, data, openers, steps)
        rows = tuple(_row(candidate, candidates[0], request, timings, scores, passes) for candidate in candidates)
        command = tuple(command_line(request.command)) if request.command else None
        result = BenchResult(rows, _environment(request), command)
    if request.out is not None:
        write_bench(request.out, result, request.overwrite)
    return result


def _candidates(request: BenchRequest, scratch: Path) -> list[_Candidate]:
    """The models, loaded, with places for their ONNX files, and with names as short as tells them apart."""
    loaded = [load_source(source) for source in request.models]
    names = shortest_names([source.place for source in request.models])
    folders = [
        checkpoint.folder if request.exported else scratch / str(place) for place, checkpoint in enumerate(loaded)
    ]
    return [_Candidate(*parts) for parts in zip(request.models, loaded, names, folders, strict=True)]


def _prepare_onnx(candidate: _Candidate, runtimes: Sequence[str], request: BenchRequest, steps: Steps) -> None:
    """Exports a model; where that was done before, makes sure that its files are there and its own."""
    if not request.exported:
        int8 = "onnxruntime-int8" in runtimes
        run_onnx(OnnxRequest(candidate.source, candidate.folder, int8=int8, openvino_int8=request.calibration), steps)
        return
    identity, place = Identity.of(candidate.checkpoint), Place(candidate.folder, candidate.source.model)
    for runtime in runtimes:
        run = partial(run_under, runtime) if runtime == CALIBRATED else None  # has a file of its own
        open_exported(place, RUNTIME_FILES[runtime], identity, run=run)


def _row(
    candidate: _Candidate,
    dense: _Candidate,
    request: BenchRequest,
    timings: Mapping[str, Sequence[Timing]],
    scores: Mapping[str, Mapping[str, Scored]],
    passes: Mapping[str, Throughput],
) -> BenchModel:
    """One model's part of ``results.json``; the metric is that of the first runtime."""
    found = _runtimes(candidate, dense, request, scores, passes)
    latency = []
    for runtime in request.runtimes:
        mine, its = (timings[f"{model.label} ({runtime})"] for model in (candidate, dense))
        for own, other in zip(mine, its, strict=True):
            counts = [forward_operations(c.checkpoint.model, own.batch_size, own.length) for c in (candidate, dense)]
            latency.append(
                BenchTiming(runtime, **asdict(own), speedup=speedup(other, own), flops_ratio=counts[1] / counts[0])
            )
    first, measured = found[request.runtimes[0]], scores[candidate.source.model].get(request.runtimes[0])
    return BenchModel(
        model=candidate.source.model,
        sha256=candidate.checkpoint.sha256,
        parameters=total_parameters(candidate.checkpoint.model),
        file_bytes=candidate.bytes_of(request.runtimes[0]),
        metric=measured.measurement.metric if measured else None,
        value=first.value,
        examples=measured.measurement.examples if measured else None,
        runtimes=found,
        latency=tuple(latency),
        name=candidate.label,
        difference=first.difference,
    )


def _runtimes(
    candidate: _Candidate,
    dense: _Candidate,
    request: BenchRequest,
    scores: Mapping[str, Mapping[str, Scored]],
    passes: Mapping[str, Throughput],
) -> dict[str, BenchRuntime]:
    """Runtime -> size, metric and throughput of a model, and how far the metric is from the first one's under it."""
    mine, its = scores[candidate.source.model], scores[dense.source.model]
    found = {}
    for runtime in request.runtimes:
        size = candidate.bytes_of(runtime)
        if request.data is None:
            found[runtime] = BenchRuntime(size)
            continue
        measured, difference = mine[runtime].measurement, None
        if candidate is not dense:
            difference = paired_difference(mine[runtime], its[runtime], dense.source.model, seed=request.data.seed)
        throughput = None
        if passes:
            own, other = (passes[f"{model.label} ({runtime})"] for model in (candidate, dense))
            examples = request.data.batch_size
            throughput = BenchThroughput(own.sequences, examples, own.median, own.rounds, gain(own, other))
        found[runtime] = BenchRuntime(size, measured.value, measured.beside, difference, throughput)
    return found


def _batches(data: DataRequest, candidates: Sequence[_Candidate]) -> dict[str, Batches]:
    """Model -> the data as it reads it; what does not go together is refused before the exports, which take long."""
    metric_of(data.task)
    found: dict[str, Batches] = {}
    for candidate in candidates:
        tokenizer = load_tokenizer(candidate.checkpoint)
        dense = candidates[0].checkpoint
        check_same_head(candidate.checkpoint.encoder, dense.encoder, candidates[0].source.model)
        found[candidate.source.model] = load_batches(data, tokenizer, candidate.checkpoint.encoder)
        ours, theirs = ((one.checkpoint.model, found[one.source.model].task) for one in (candidate, candidates[0]))
        check_same_classes(ours, theirs, candidates[0].source.model)
    dense, its = candidates[0].checkpoint.model, found[candidates[0].source.model]
    return {name: referred(batches, dense, its) for name, batches in found.items()}


def _scores(candidate: _Candidate, request: BenchRequest, batches: Batches | None, steps: Steps) -> dict[str, Scored]:
    """Runtime -> what was measured under it; nothing without data."""
    found: dict[str, Scored] = {}
    if batches is None:
        return found
    for runtime in request.runtimes:
        runner = candidate.under(runtime, request.plan.threads)
        what = f"evaluating {candidate.label} ({runtime})"
        measured = scored(runner, batches, batches.task, steps, what)
        warn_below_chance(measured.measurement, batches.task, candidate.checkpoint.model.config)
        of_weights = replace(measured.measurement, sha256=candidate.checkpoint.sha256)
        found[runtime] = replace(measured, measurement=of_weights)
    return found


def _throughputs(
    request: BenchRequest,
    candidates: Sequence[_Candidate],
    data: Mapping[str, Batches],
    openers: Openers,
    steps: Steps,
) -> dict[str, Throughput]:
    """Runner -> sequences per second; nothing where that was not asked for."""
    if request.throughput is None:
        return {}
    texts = {candidate.label: list(data[candidate.source.model].spread(request.throughput)) for candidate in candidates}
    read = {f"{label} ({runtime})": found for label, found in texts.items() for runtime in request.runtimes}
    return time_passes(openers, read, request.plan.rounds, request.plan.threads, steps=steps)


def _check_lengths(request: BenchRequest, candidates: Sequence[_Candidate]) -> None:
    for candidate in candidates:
        most, longest = candidate.checkpoint.encoder.usable_length, max(request.plan.lengths)
        if longest > most:
            raise DataError(f"length {longest}: {candidate.source.model} takes at most {most} tokens; lower --lengths")


def _environment(request: BenchRequest) -> BenchEnvironment:
    """What the numbers depend on."""
    plan, data = request.plan, request.data
    return BenchEnvironment(
        **asdict(machine(plan.threads, libraries_of(request.runtimes))),
        rounds=plan.rounds,
        repeats=plan.repeats,
        task=data.task.name if data else None,
        data=data.name if data else None,
    )
