"""``evaluate``: the task's metric of a checkpoint, and how far it is from another one's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.run_under import run_under
from fwsvd_export.benchmark.runtimes import CALIBRATED, OPENVINO, RUNTIME_FILES, libraries_of
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import ExportError
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.comparable import check_same_classes, check_same_head
from fwsvd_export.evaluation.difference import CONFIDENCE, Difference, check_confidence
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.export.fetch import fetched_place
from fwsvd_export.export.folder import open_exported
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.libraries import check_libraries
from fwsvd_export.export.place import Place
from fwsvd_export.export.session import ExportedModel
from fwsvd_export.records import Measurement
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import ONNX_FOLDER
from fwsvd_export.workflows.source import Source, load_source


@dataclass(frozen=True)
class Against:
    """The model to compare with, which runs under torch whatever runs the other one.

    Raises:
        DataError: a confidence that is not allowed.
    """

    source: Source
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        check_confidence(self.confidence)


@dataclass(frozen=True)
class Evaluated:
    """A metric, and its difference from the model's that it was to be compared with."""

    measurement: Measurement
    difference: Difference | None = None


def run_evaluate(
    source: Source, data: DataRequest, steps: Steps = silent, *, against: Against | None = None
) -> Evaluated:
    """The task's metric of a dense or compressed checkpoint.

    Args:
        source: the checkpoint.
        data: labelled rows.
        steps: progress.
        against: what to compare it with on the same rows.

    Raises:
        DataError: data that does not fit, or a model to compare with that has another head or other classes.
    """
    checkpoint = load_source(source)
    return _evaluated(checkpoint.model, checkpoint, data, steps, against)


def run_evaluate_exported(
    source: Source,
    data: DataRequest,
    runtime: str,
    parent: Path | None = None,
    steps: Steps = silent,
    *,
    against: Against | None = None,
) -> Evaluated:
    """The task's metric of a checkpoint's ONNX model.

    Args:
        source: the checkpoint that the ONNX model must have been made from.
        data: labelled rows.
        runtime: a key of ``RUNTIME_FILES``.
        parent: the folder that ``onnx -o`` wrote to; None is the model's own folder, or its repository on the Hub.
        steps: progress.
        against: what to compare it with on the same rows.

    Raises:
        DataError: as ``run_evaluate``.
        ExportError: there is no such file, it belongs to another checkpoint, a device that is not the CPU, or a
            processor that does not have what the runtime computes in.
        MissingExtraError: the runtime is not installed.
    """
    check_libraries(*libraries_of((runtime,)))
    if source.device not in ("auto", "cpu"):
        raise ExportError(
            f"device {source.device}: ONNX models are run on the CPU here; leave --device out or give cpu"
        )
    checkpoint = load_source(Source(source.model, source.trust_remote_code, "cpu"))
    place = _place_of(source, checkpoint, RUNTIME_FILES[runtime], parent)
    run = partial(run_under, runtime) if runtime == CALIBRATED else None  # has a file of its own
    model: ExportedModel = open_exported(place, RUNTIME_FILES[runtime], Identity.of(checkpoint), run=run)
    if runtime in OPENVINO:
        model = run_under(runtime, place.parent / ONNX_FOLDER)
    return _evaluated(model, checkpoint, data, steps, against)


def _evaluated(
    model: Any, checkpoint: Checkpoint, data: DataRequest, steps: Steps, against: Against | None
) -> Evaluated:
    """As ``run_evaluate``, of a checkpoint's model under any runtime: a torch model, or one that is called like it."""
    batches = load_batches(data, load_tokenizer(checkpoint), checkpoint.encoder)
    reading = batches.reading
    if against is None:
        return Evaluated(_scored(model, checkpoint, (batches, reading), steps, "evaluating").measurement)
    dense = load_source(against.source)
    check_same_head(checkpoint.encoder, dense.encoder, against.source.model)
    its = load_batches(data, load_tokenizer(dense), dense.encoder)
    check_same_classes((checkpoint.model, batches.task), (dense.model, its.task), against.source.model)
    ours = _scored(model, checkpoint, (referred(batches, dense.model, its), reading), steps, "evaluating")
    known = (referred(its, dense.model), its.reading)
    theirs = _scored(dense.model, dense, known, steps, f"evaluating {dense.name}")
    difference = paired_difference(ours, theirs, against.source.model, against.confidence, data.seed)
    return Evaluated(ours.measurement, difference)


def _scored(model: Any, checkpoint: Checkpoint, data: tuple[Batches, Reading], steps: Steps, what: str) -> Scored:
    """What a model says, with the digest of its weights and what became of the rows."""
    batches, reading = data
    found = scored(model, batches, batches.task, steps, what)
    warn_below_chance(found.measurement, batches.task, checkpoint.model.config)
    of_weights = replace(found.measurement, sha256=checkpoint.sha256, cut=reading.cut, skipped=reading.left_out)
    return replace(found, measurement=of_weights)


def _place_of(source: Source, checkpoint: Checkpoint, file_name: str, given: Path | None) -> Place:
    """Where ``evaluate`` finds an ONNX file: where it was asked to look, beside the model, or on the Hub."""
    if given is not None:
        return Place(given, source.model)
    if Path(source.model).is_dir():
        return Place(checkpoint.folder, source.model)
    return fetched_place(checkpoint.folder, source.model, file_name)
