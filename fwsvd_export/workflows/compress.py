"""``compress``: load, calibrate, collect, plan, solve, write."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from fwsvd_export import __version__
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.weights import stored_weights
from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.checks import closed_form, reconstructs, solver_named
from fwsvd_export.compression.inputs import Inputs, calibration_of
from fwsvd_export.compression.norms import check_collected
from fwsvd_export.compression.prepare import Prepared, compress_model, prepare
from fwsvd_export.compression.size import check_size
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import encode_rows, load_batches
from fwsvd_export.data.rows import DataRequest, read_rows, split_rows
from fwsvd_export.errors import DataError, OutputError
from fwsvd_export.evaluation.layer_losses import measure_layer_losses
from fwsvd_export.evaluation.metrics import evaluate_model, metric_of
from fwsvd_export.evaluation.ratio import Promise, check_max_drop, smallest_within
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.fisher.merge import DATA_SEPARATOR
from fwsvd_export.hub.card.base import read_base_card
from fwsvd_export.records import RankRequest, Statistics
from fwsvd_export.report.compression import write_report
from fwsvd_export.runtime.device import release_freed_memory
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.solvers.fwsvd import FwsvdOptions
from fwsvd_export.solvers.options import options_from, options_to_json
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.names import command_line
from fwsvd_export.workflows.fisher import statistics_of
from fwsvd_export.workflows.source import Source, Stopwatch, check_folder, load_dense
from fwsvd_export.workflows.write import write_compressed

COMPRESSION_FORMAT = 1


@dataclass(frozen=True)
class CompressRequest:
    """Everything ``compress`` was asked for; ``data`` or ``fisher`` may be None where the method allows it.

    With ``max_drop`` the budget in ``size`` is not looked at: the smallest model is searched whose metric on
    ``validation`` (or on rows of ``data`` that calibration leaves) is at most that far below the dense one's. A folder
    ``report`` gets predicted and measured losses of every layer. ``command`` is what was typed, for the record.
    """

    source: Source
    out: Path
    method: str
    size: RankRequest
    data: DataRequest | None = None
    fisher: Path | None = None
    labels: str = "data"
    validation: DataRequest | None = None
    max_drop: float | None = None
    match: bool | None = None
    report: Path | None = None
    solver_options: Mapping[str, str] = field(default_factory=dict)
    dtype: str = "auto"
    overwrite: bool = False
    command: tuple[str, ...] = ()


def run_compress(request: CompressRequest, steps: Steps = silent) -> tuple[Compressed, dict[str, Any]]:
    """Compresses a checkpoint into a folder; returns what was done and the content of its ``compression.json``."""
    check_folder(request.source, request.out, request.overwrite)
    solver = solver_named(request.method)
    options = options_from(request.method, solver.options, request.solver_options)
    if request.max_drop is not None:
        check_max_drop(request.max_drop)
        closed_form(solver)
    if request.report is not None:
        _check_report(request, request.report)
    clock = Stopwatch()
    with clock.phase("load"):
        stored = load_statistics(request.fisher) if request.fisher is not None else None
    matched = reconstructs(solver, request.match, request.data is not None, stored)
    if request.data is not None and request.fisher is not None and not (matched or request.max_drop or request.report):
        raise DataError(
            "a statistics file and data are given, and nothing would be read from the data: it is for matching "
            "(--match, with --method kfac), for --max-drop and for --report; give one of the two"
        )
    with clock.phase("load"):
        checkpoint = load_dense(request.source)
    # A size that cannot be met fails here, before the long work
    check_size(checkpoint.encoder, solver, request.size)
    calibration, validation = _batches(request, checkpoint, stored)
    statistics = stored
    if statistics is None and solver.needs is not None and request.data is not None and calibration is not None:
        with clock.phase("statistics"):
            statistics = statistics_of(
                checkpoint, request.data, calibration, (solver.needs,), request.labels, steps, samples=False
            )
            release_freed_memory()
    if solver.needs is None:
        statistics = None  # a method that does not look at statistics must not claim to be made from them
    check_collected(solver, statistics)
    texts = calibration_of(calibration, statistics) if matched else None
    inputs = Inputs(checkpoint.encoder, solver, options, request.size, statistics, texts)
    gate = None
    if request.max_drop is None or validation is None:
        with clock.phase("solve"):
            compressed = compress_model(inputs, steps)
    else:
        with clock.phase("solve"):
            prepared = prepare(inputs, steps)
        with clock.phase("trials"):
            promise, gate = _search(request, prepared, validation)
        compressed = promise.compressed
    dtype = checkpoint.declared_dtype if request.dtype == "auto" else getattr(torch, request.dtype)
    small = compressed.model.cpu().to(dtype)
    fisher_sha256 = file_sha256(request.fisher) if request.fisher is not None and statistics is not None else None
    record = _compression_record(request, checkpoint, compressed, statistics, fisher_sha256, clock)
    record["asked"]["fisher_axis"] = options.axis if isinstance(options, FwsvdOptions) else FwsvdOptions().axis
    record["asked"]["solver_options"] = options_to_json(options)
    if gate is not None:
        record["gate"] = gate
    if request.report is not None and calibration is not None:
        with clock.phase("report"):
            losses = measure_layer_losses(checkpoint.encoder, compressed.solutions, calibration, steps)
            write_report(request.report, record, losses, request.overwrite)
    return compressed, write_compressed(small, request.out, record, checkpoint.tokenizer_files, request.overwrite)


def _batches(
    request: CompressRequest, checkpoint: Checkpoint, stored: Statistics | None
) -> tuple[Batches | None, Batches | None]:
    """Calibration and validation batches, as far as they are needed; no example is in both.

    Raises:
        DataError: no data to validate on, or nothing but what calibration has seen.
    """
    needs_validation = request.max_drop is not None
    if request.data is None and not (needs_validation and request.validation):
        if needs_validation:
            raise DataError("--max-drop needs data to measure on: give --validation FILE, or --data to split")
        return None, None
    tokenizer, encoder = load_tokenizer(checkpoint), checkpoint.encoder
    if not needs_validation:
        return load_batches(cast(DataRequest, request.data), tokenizer, encoder), None
    measured = cast(DataRequest, request.validation or request.data)
    metric_of(measured.task)  # a task without one is refused before the long work
    if stored is not None and measured.name in (stored.source.data or "").split(DATA_SEPARATOR):
        raise DataError(
            f"{measured.name} is what the statistics were collected on; give other data with --validation, or --data "
            "without --fisher, which holds rows out first"
        )
    if request.validation is not None:
        calibration = None if request.data is None else load_batches(request.data, tokenizer, encoder)
        validation = load_batches(request.validation, tokenizer, encoder)
    else:
        data = cast(DataRequest, request.data)
        chosen, rest = split_rows(read_rows(data), data)
        everything = replace(data, max_samples=None)
        calibration, validation = (encode_rows(rows, everything, tokenizer, encoder) for rows in (chosen, rest))
    seen = calibration.token_ids if calibration is not None else set()
    if stored is not None and stored.sample is not None:
        seen |= stored.sample.unmasked()
    if seen:
        validation = validation.without(seen)
        if validation.examples == 0:
            raise DataError("all validation examples are also calibration examples; give other data with --validation")
    return calibration, validation


def _search(request: CompressRequest, prepared: Prepared, validation: Batches) -> tuple[Promise, dict[str, Any]]:
    """The smallest model within ``max_drop``, and what ``compression.json`` says of the search."""
    measured = cast(DataRequest, request.validation or request.data)
    dense = evaluate_model(prepared.inputs.encoder.model, validation, measured.task)

    def value_of(model: Any) -> float:
        return evaluate_model(model, validation, measured.task).value

    promise = smallest_within(prepared, value_of, dense.value, cast(float, request.max_drop))
    gate = {
        "max_drop": request.max_drop,
        "metric": dense.metric,
        "dense": dense.value,
        "validation": measured.name,
        "validation_examples": validation.examples,
        "kept": promise.kept,
        "trials": [asdict(trial) for trial in promise.trials],
    }
    return promise, gate


def _check_report(request: CompressRequest, report: Path) -> None:
    """Refuses a report that has no folder of its own, or no data to measure on."""
    check_folder(request.source, report, request.overwrite)
    if request.out.resolve() in (report.resolve(), *report.resolve().parents):
        raise OutputError(f"the model goes to {request.out}, which is written whole; give --report a folder beside it")
    if request.data is None:
        raise DataError("--report measures every layer's loss and needs data to do it on; give --data")


def _compression_record(
    request: CompressRequest,
    checkpoint: Checkpoint,
    compressed: Compressed,
    statistics: Statistics | None,
    fisher_sha256: str | None,
    clock: Stopwatch,
) -> dict[str, Any]:
    """The content of ``compression.json``."""
    import transformers

    asked, limits = request.size.budget, request.size.limits
    fisher = None
    if statistics is not None:
        fisher = {
            "task": statistics.source.task,
            "data": statistics.source.data,
            "examples": statistics.examples,
            "labels": statistics.source.labels,
            "max_length": statistics.source.max_length,
            "sha256": fisher_sha256,
        }
    return {
        "format": COMPRESSION_FORMAT,
        "base_model": checkpoint.name,
        "base_sha256": checkpoint.sha256,
        "base_revision": checkpoint.revision,
        "base_weights": asdict(stored_weights(checkpoint.folder)),
        "base_card": read_base_card(checkpoint.folder),
        "command": command_line(request.command) if request.command else None,
        "method": request.method,
        "allocate": compressed.report.plan.allocate,
        "asked": {
            "ratio": asked.ratio if request.max_drop is None else None,
            "rank": asked.rank,
            "params": asked.params,
            "limits": asdict(limits),
            "embeddings": request.size.embeddings,
            "cost": request.size.cost,
        },
        "embeddings": asdict(compressed.report.embedding),
        "matching": None if compressed.report.reconstruction is None else asdict(compressed.report.reconstruction),
        "parameters": compressed.report.parameters.to_json(),
        "layers": [
            {
                "name": layer.name,
                "shape": list(layer.shape),
                "rank": layer.rank,
                "kept_dense": layer.kept_dense,
                "predicted_loss": layer.predicted_loss,
                "status": layer.status,
            }
            for layer in compressed.report.layers
        ],
        "fisher": fisher,
        "seconds": clock.seconds,
        "versions": {
            "fwsvd-export": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
