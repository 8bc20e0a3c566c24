"""``compress``: prepare what is worked out once, compress to one size, write the folder.

A sweep is a loop over ``compress`` after one ``prepare``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from fwsvd_export.architectures.embed import description_of
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.gate import Gate, RecordedTrial
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.record import CompressionRecord, RecordedRefinement
from fwsvd_export.checkpoints.tokenizer import read_tokenizer
from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.checks import closed_form, reconstructs
from fwsvd_export.compression.inputs import Inputs, calibration_of
from fwsvd_export.compression.norms import check_collected
from fwsvd_export.compression.prepare import compress_model, prepare
from fwsvd_export.compression.record import record_of
from fwsvd_export.compression.size import check_size
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import DataError, OutputError, StatisticsError
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.layer_losses import measure_layer_losses
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.ratio import smallest_within
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.evaluation.target import Target
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.records import LABEL_SOURCES, TEMPERATURE, Statistics
from fwsvd_export.report.compression import write_report
from fwsvd_export.runtime.device import release_freed_memory
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.solvers.options import SolverOptions, options_from
from fwsvd_export.solvers.solver import ClosedForm, Iterative
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.names import command_line
from fwsvd_export.training.refine import refine
from fwsvd_export.workflows.base import with_base
from fwsvd_export.workflows.calibration import (
    calibration_and_validation,
    check_reconstruct_samples,
    reconstruction_text,
)
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.fisher import reads_labels, statistics_of
from fwsvd_export.workflows.refine import RefineText, refine_text
from fwsvd_export.workflows.source import Stopwatch, check_folder, load_dense
from fwsvd_export.workflows.write import write_compressed


@dataclass(frozen=True)
class Method:
    """A solver with its options, and whether layers are reconstructed after it."""

    solver: ClosedForm | Iterative
    options: SolverOptions
    reconstruct: bool


@dataclass
class Run:
    """What is worked out once for a request; every size of the model costs little after it.

    Attributes:
        request: what was asked for.
        checkpoint: the dense model.
        inputs: of the compression.
        calibration: batches, None without data.
        validation: batches for an accuracy target, None without one.
        text: to refine on, None without refinement.
        clock: seconds by phase.
    """

    request: CompressRequest
    checkpoint: Checkpoint
    inputs: Inputs
    calibration: Batches | None
    validation: Batches | None
    text: RefineText | None
    clock: Stopwatch


def run_compress(request: CompressRequest, steps: Steps = silent) -> tuple[Compressed, CompressionRecord]:
    """Compresses a checkpoint into a folder; returns what was done and the record that lies in the folder."""
    run = prepare_run(request, steps)
    compressed, gate = compress_run(run, steps)
    refinement = refine_run(run, compressed, steps)
    return compressed, write_run(run, compressed, gate, refinement, steps)


def prepare_run(request: CompressRequest, steps: Steps = silent) -> Run:
    """Checks the request, loads the model and the data, and collects statistics where they are not given.

    What the method does not use is not read.
    """
    request = request.used()
    check_folder(request.source, request.out, request.overwrite)
    if request.report is not None:
        _check_report(request, request.report)
    clock = Stopwatch()
    with clock.phase("load"):
        stored = load_statistics(request.fisher) if request.fisher is not None else None
    method = _method_of(request, stored)
    check_reconstruct_samples(request, method.reconstruct)
    with clock.phase("load"):
        checkpoint = load_dense(request.source)
        if checkpoint.has_tokenizer:  # one that cannot be carried over fails here, before the long work
            read_tokenizer(checkpoint.folder, checkpoint.model.config)
    _check_embeddings(checkpoint.encoder, stored)
    # A size that cannot be met fails here, before the long work
    check_size(checkpoint.encoder, method.solver, request.size)
    statistics, needs = stored, method.solver.needs
    labels = request.labels or LABEL_SOURCES[0]
    temperature = TEMPERATURE if request.temperature is None else request.temperature
    collects = stored is None and needs is not None and request.data is not None
    labelled = collects and reads_labels(checkpoint.encoder, labels, cast(DataRequest, request.data).task)
    calibration, validation = calibration_and_validation(request, checkpoint, stored, labelled=labelled)
    text = None
    if request.refine is not None:
        sample = None if stored is None else stored.sample
        text = refine_text(request.refine, request.data, calibration, sample, checkpoint)
    if statistics is None and needs is not None and request.data is not None and calibration is not None:
        with clock.phase("statistics"):
            statistics = statistics_of(
                checkpoint, request.data, calibration, (needs,), labels, temperature, steps, samples=False
            )
            release_freed_memory()
    check_collected(method.solver, statistics)
    texts = calibration_of(calibration, statistics)
    apart = [part for part in (validation, text and text.held_out) if isinstance(part, Batches)]
    more = reconstruction_text(request, checkpoint, calibration, apart)
    fitted_on = calibration_of(more, statistics) if method.reconstruct else None
    inputs = Inputs(checkpoint.encoder, method.solver, method.options, request.size, statistics, fitted_on, texts)
    return Run(request, checkpoint, inputs, calibration, validation, text, clock)


def compress_run(run: Run, steps: Steps = silent) -> tuple[Compressed, Gate | None]:
    """The model of the size that was asked for, or the smallest one within an accuracy target and how it was found."""
    request, clock = run.request, run.clock
    target = request.target
    if target is None or run.validation is None:
        with clock.phase("solve"):
            return compress_model(run.inputs, steps), None
    with clock.phase("solve"):
        prepared = prepare(run.inputs, steps)
    measured = cast(DataRequest, request.validation or request.data)
    validation = referred(run.validation, run.checkpoint.model)
    with clock.phase("trials"):
        dense = scored(run.checkpoint.model, validation, validation.task)
        warn_below_chance(dense.measurement, validation.task, run.checkpoint.model.config)

        def compare(model: Any) -> tuple[float, Difference]:
            ours = scored(_as_saved(model, dtype_of(run)), validation, validation.task)
            difference = paired_difference(ours, dense, run.checkpoint.name, target.confidence, measured.seed)
            return ours.measurement.value, difference

        found = smallest_within(prepared, compare, target)
    trials = tuple(
        RecordedTrial(trial.ratio, trial.value, trial.kept, trial.difference.low, trial.difference.high)
        for trial in found.trials
    )
    return found.compressed, gate_of(target, dense, measured, trials, kept=found.kept)


def gate_of(
    target: Target, dense: Scored, validation: DataRequest, trials: tuple[RecordedTrial, ...], *, kept: bool
) -> Gate:
    """What is recorded of an accuracy target.

    Args:
        target: that was asked for.
        dense: what the dense model says on the validation data.
        validation: that data.
        trials: all that were made.
        kept: whether one met the target.
    """
    measured = dense.measurement
    return Gate(
        max_drop=target.max_drop,
        metric=measured.metric,
        dense=measured.value,
        validation=validation.name,
        validation_examples=measured.examples,
        kept=kept,
        trials=trials,
        confidence=target.confidence,
    )


def refine_run(run: Run, compressed: Compressed, steps: Steps = silent) -> RecordedRefinement | None:
    """Refines the compressed model in place where it was asked for; what was done."""
    request, text = run.request.refine, run.text
    if request is None or text is None:
        return None
    with run.clock.phase("refinement"):
        done = refine(
            compressed.model,
            run.checkpoint.model,
            text.batches,
            held_out=text.held_out,
            embed=run.checkpoint.encoder.embed,
            scope=request.scope,
            minutes=request.minutes,
            seed=0 if run.request.data is None else run.request.data.seed,
            steps=steps,
        )
    return replace(done, data=text.name)


def write_run(
    run: Run,
    compressed: Compressed,
    gate: Gate | None,
    refinement: RecordedRefinement | None = None,
    steps: Steps = silent,
) -> CompressionRecord:
    """Writes the folder, and the report where one was asked for; returns the record in the folder."""
    request, checkpoint = run.request, run.checkpoint
    small = compressed.model.cpu().to(dtype_of(run))
    record = replace(_record_of(run, compressed, gate), refinement=refinement)
    if request.report is not None and run.calibration is not None:
        with run.clock.phase("report"):
            statistics = run.inputs.statistics
            temperature = TEMPERATURE if statistics is None else statistics.source.temperature
            solved = (checkpoint.encoder, compressed.solutions, run.calibration)
            losses = measure_layer_losses(*solved, steps, temperature)
            write_report(request.report, record, losses, request.overwrite)
    return write_compressed(small, request.out, record, checkpoint.carried, request.overwrite)


def dtype_of(run: Run) -> torch.dtype:
    """The type that weights are saved in."""
    asked = run.request.dtype
    found: torch.dtype = run.checkpoint.declared_dtype if asked == "auto" else getattr(torch, asked)
    return found


def _as_saved(model: Any, dtype: torch.dtype) -> Any:
    """A model with the values that its saved weights will have; itself where they lose nothing."""
    return model if dtype == torch.float32 else copy.deepcopy(model).to(dtype).float()


def _method_of(request: CompressRequest, stored: Statistics | None) -> Method:
    """The method, once everything that was asked for goes with it and with the data that is given."""
    solver = solver_named(request.method)
    options = options_from(request.method, solver.options, request.solver_options)
    if request.target is not None:  # one that is not allowed is refused here
        closed_form(solver)
    fitted = reconstructs(solver, request.reconstruct, request.data is not None, stored)
    if stored is not None and request.temperature not in (None, stored.source.temperature):
        raise StatisticsError(
            f"--temperature {request.temperature:g} is given, and the statistics file was collected with temperature "
            f"{stored.source.temperature:g}; leave --temperature out, or collect again with it"
        )
    if stored is not None and request.labels not in (None, stored.source.labels):
        raise StatisticsError(
            f"--labels {request.labels} is given, and the statistics file was collected with labels "
            f"{stored.source.labels}; leave --labels out, or collect again with --labels {request.labels}"
        )
    return Method(solver, options, fitted)


def _check_embeddings(encoder: Encoder, stored: Statistics | None) -> None:
    """Refuses statistics of embeddings that the model's own modules do not make."""
    made, ours = None if stored is None else stored.source.embedding, description_of(encoder.embed)
    if made is not None and made != ours:
        raise StatisticsError(
            f"the statistics are of embeddings made by {made}, and this model makes them by {ours}; "
            "collect them for this model with fwsvd-export fisher"
        )


def _check_report(request: CompressRequest, report: Path) -> None:
    """Refuses a report that has no folder of its own, or no data to measure on."""
    check_folder(request.source, report, request.overwrite)
    if request.out.resolve() in (report.resolve(), *report.resolve().parents):
        raise OutputError(f"the model goes to {request.out}, which is written whole; give --report a folder beside it")
    if request.data is None:
        raise DataError("--report measures every layer's loss and needs data to do it on; give --data")


def _record_of(run: Run, compressed: Compressed, gate: Gate | None) -> CompressionRecord:
    """What ``compression.json`` says of how the model was made, with what only files tell."""
    request, checkpoint = run.request, run.checkpoint
    record = with_base(record_of(run.inputs, compressed.report, checkpoint.name), checkpoint)
    fisher, asked = record.fisher, record.asked
    if fisher is not None and request.fisher is not None:
        fisher = replace(fisher, sha256=file_sha256(request.fisher))
    if request.max_drop is not None:
        asked = replace(asked, ratio=None)
    return replace(
        record,
        command=tuple(command_line(request.command)) if request.command else None,
        recipe=request.recipe,
        asked=asked,
        fisher=fisher,
        gate=gate,
        seconds=run.clock.seconds,
    )
