"""The pipeline of the ONNX export: load, trace, check against torch, quantise, measure, write."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.record import FileDigest
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import ExportError, OutputError, given, is_number, is_whole
from fwsvd_export.evaluation.difference import CONFIDENCE
from fwsvd_export.evaluation.int8 import Int8Data, Int8Files, Int8Report, write_int8
from fwsvd_export.evaluation.metrics import metric_of
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.evaluation.target import Target
from fwsvd_export.export import OPSETS
from fwsvd_export.export.check import Difference, Shape, differences, shapes_up_to, worst_of
from fwsvd_export.export.folder import (
    check_onnx_output,
    onnx_output,
    write_surroundings,
)
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.libraries import check_libraries, required
from fwsvd_export.export.openvino_int8 import CALIBRATION_TEXTS, write_openvino_int8
from fwsvd_export.export.pooled import check_pooled
from fwsvd_export.export.quantize import SMALLEST_PRODUCT
from fwsvd_export.export.record import (
    ExportRecord,
    MixedPrecisionTrial,
    RecordedCheck,
    RecordedDifference,
    RecordedInt8,
    RecordedOpenvinoInt8,
    RecordedSaturation,
)
from fwsvd_export.export.saturation import proven
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.export.trace import trace
from fwsvd_export.runtime.environment import library_versions
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import EXPORT_FILE, INT8_FILE, ONNX_FILE, ONNX_FOLDER, TOKENIZER_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.workflows.source import Source, Stopwatch, load_source

_INT8_LENGTH = 128  # differences of int8 are reported, not judged: the longest shapes would only cost time


@dataclass(frozen=True)
class OnnxRequest:
    """Everything ``onnx`` was asked for.

    Attributes:
        source: the model; it is exported on the CPU.
        out: folder that gets ``onnx/``; None is the model's own.
        opset: version of the ONNX operators.
        atol: how far any output may be from torch's.
        int8: whether to write a quantised model too.
        pooled: whether the embedding of a text is one more output.
        openvino_int8: text of the task, without labels, for OpenVINO's model in 8 bits; None writes none.
        data: to measure the quantised model on.
        max_drop: how far the quantised model's metric may be below the float one's.
        confidence: that it is no further.
        overwrite: replace ``onnx/``.
    """

    source: Source
    out: Path | None = None
    opset: int = OPSETS[0]
    atol: float = 1e-4
    int8: bool = False
    data: DataRequest | None = None
    max_drop: float | None = None
    confidence: float = CONFIDENCE
    overwrite: bool = False
    pooled: bool = False
    openvino_int8: DataRequest | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.opset) or self.opset not in OPSETS:
            raise ExportError(f"opset {given(self.opset)}: {OPSETS[0]} to {OPSETS[-1]} are allowed")
        if not is_number(self.atol) or not 0 <= self.atol < math.inf:
            raise ExportError(f"atol {given(self.atol)}: a number of at least 0 is allowed")
        _ = self.target  # one that is not allowed is refused here

    @property
    def target(self) -> Target | None:
        """What the quantised model must meet."""
        return None if self.max_drop is None else Target(self.max_drop, self.confidence)


@dataclass(frozen=True)
class Exported:
    """Where the ONNX folder is and what its ``export.json`` says."""

    folder: Path
    record: ExportRecord

    @property
    def within_atol(self) -> bool:
        """Whether every output at every shape is near enough to torch's."""
        return self.record.check.within

    @property
    def has_tokenizer(self) -> bool:
        """Whether the folder can be used on text alone: the checkpoint had a tokenizer."""
        return (self.folder / TOKENIZER_FILE).is_file()

    @property
    def worst(self) -> Difference:
        """The shape that is furthest from torch's."""
        worst = self.record.check.worst
        return Difference(Shape(worst.batch_size, worst.length, worst.padded), worst.max_difference)

    @property
    def within_drop(self) -> bool:
        """Whether the int8 model meets --max-drop; without a target none is missed."""
        return self.record.int8 is None or self.record.int8.kept is not False


def run_onnx(request: OnnxRequest, steps: Steps = silent) -> Exported:
    """Writes the ONNX folder of a checkpoint and checks it against torch.

    Raises:
        CheckpointError, UnsupportedModelError, DataError: the model or the data that comes in.
        ExportError: the model does not fit an ONNX file.
        MissingExtraError: the ``onnx`` extra is not installed.
        OutputError: the folder exists, or the disk is full.
    """
    check_libraries(*(("openvino", "nncf") if request.openvino_int8 else ()))
    parent = _parent_of(request.source, request.out)
    check_onnx_output(parent, request.overwrite)
    clock = Stopwatch()
    with clock.phase("load"):
        checkpoint = load_source(request.source)
        if request.pooled:
            check_pooled(checkpoint.encoder)
        data = _int8_data(request, checkpoint)
    with onnx_output(parent, request.overwrite) as folder:
        record = export_into(folder, checkpoint, request, data, clock, steps)
    return Exported(parent / ONNX_FOLDER, record)


def export_into(
    folder: Path, checkpoint: Checkpoint, request: OnnxRequest, data: Int8Data | None, clock: Stopwatch, steps: Steps
) -> ExportRecord:
    """Writes everything of an ONNX folder into one that is there, and checks it; returns its record.

    Args:
        folder: empty.
        checkpoint: what is exported.
        request: how; its ``source`` and ``out`` are not looked at.
        data: to measure the quantised model on.
        clock: seconds by phase.
        steps: progress.
    """
    encoder = checkpoint.encoder
    write_surroundings(checkpoint, folder)
    with clock.phase("trace"):
        identity = Identity.of(checkpoint)
        write_float(folder, encoder, identity, request.opset, pooled=request.pooled)
    with clock.phase("check"):
        shapes = shapes_up_to(encoder.usable_length)
        with steps("checking against torch", len(shapes)) as advance:
            found = differences(encoder, OnnxModel(folder, ONNX_FILE), shapes, advance, pooled=request.pooled)
    int8: RecordedInt8 | None = None
    if request.int8:
        with clock.phase("int8"):
            graph = int8_graph(folder, encoder, identity, request.opset, pooled=request.pooled)
            report = write_int8(graph, Int8Files(folder, ONNX_FILE, INT8_FILE), data, steps)
            saturation = proven(folder / INT8_FILE, graph)
            int8 = _recorded_int8(report, _int8_shift(encoder, folder, shapes), saturation)
    calibrated = None
    if request.openvino_int8 is not None:
        with clock.phase("openvino-int8"), steps("quantising for OpenVINO", 1) as advance:
            texts = calibration_texts(request.openvino_int8, checkpoint)
            write_openvino_int8(folder / ONNX_FILE, folder, texts, identity)
            calibrated = RecordedOpenvinoInt8(request.openvino_int8.name, len(texts))
            advance()
    written = (*sorted(folder.glob("*.onnx")), *sorted(folder.glob("openvino_model.*")))
    record = ExportRecord(
        **{**asdict(identity), "settings": json.loads(identity.settings)},
        opset=request.opset,
        check=_verdict(found, request.atol),
        int8=int8,
        openvino_int8=calibrated,
        files={file.name: FileDigest.of(file) for file in written},
        seconds=clock.seconds,
        versions=library_versions("onnx", "onnxruntime", *(("openvino", "nncf") if calibrated else ())),
        pooled=request.pooled,
    )
    write_json(folder / EXPORT_FILE, record.to_json())
    return record


def write_float(
    folder: Path, encoder: Encoder, identity: Identity, opset: int = OPSETS[0], *, pooled: bool = False
) -> None:
    """The graph in float32, which is not checked."""
    graph = trace(encoder, opset, folder / ONNX_FILE, pooled=pooled)
    identity.stamp(graph)
    required("onnx").save(graph, folder / ONNX_FILE)


def int8_graph(
    folder: Path, encoder: Encoder, identity: Identity, opset: int = OPSETS[0], *, pooled: bool = False
) -> Any:
    """The ``onnx.ModelProto`` that is quantised."""
    graph = trace(encoder, opset, folder / INT8_FILE, pooled=pooled, carry_limit=SMALLEST_PRODUCT)
    identity.stamp(graph)
    return graph


def _parent_of(source: Source, given: Path | None) -> Path:
    """The folder that gets ``onnx/``."""
    if given is not None:
        return given
    folder = Path(source.model)
    if not folder.is_dir():
        raise OutputError(
            f"{source.model} is not a folder; give a folder with a model, or for a model on the Hub say with -o DIR "
            "where to write"
        )
    return folder


def calibration_texts(data: DataRequest, checkpoint: Checkpoint) -> list[dict[str, Tensor]]:
    """Texts of the task one by one, spread over all lengths; no label of them is read."""
    request = replace(data.without_labels(), batch_size=1)
    return list(load_batches(request, load_tokenizer(checkpoint), checkpoint.encoder).spread(CALIBRATION_TEXTS))


def _int8_data(request: OnnxRequest, checkpoint: Checkpoint) -> Int8Data | None:
    if request.data is None:
        return None
    metric_of(request.data.task)  # a task without one is refused before the long work
    batches = load_batches(request.data, load_tokenizer(checkpoint), checkpoint.encoder)
    measured = referred(batches, checkpoint.model)
    return Int8Data(measured, batches.task, request.data.name, request.target, request.data.seed)


def _int8_shift(encoder: Encoder, folder: Path, shapes: tuple[Shape, ...]) -> float:
    """How far the int8 model's outputs are from torch's: reported, not judged."""
    short = [shape for shape in shapes if shape.length <= _INT8_LENGTH]
    return worst_of(differences(encoder, OnnxModel(folder, INT8_FILE), short)).max_difference


def _recorded_int8(report: Int8Report | None, max_difference: float, saturation: RecordedSaturation) -> RecordedInt8:
    if report is None:
        return RecordedInt8(max_difference, saturation=saturation)
    return RecordedInt8(
        max_difference,
        report.task,
        report.data,
        report.examples,
        report.metric,
        report.float_value,
        report.value,
        None if report.target is None else report.target.max_drop,
        report.kept,
        report.kept_float,
        tuple(
            MixedPrecisionTrial(
                trial.kept_float, trial.value, trial.kept, low=trial.difference.low, high=trial.difference.high
            )
            for trial in report.trials
        ),
        report.sensitivities,
        drop=report.float_value - report.value,
        saturation=saturation,
        low=report.difference.low,
        high=report.difference.high,
        confidence=report.difference.confidence,
    )


def _verdict(found: tuple[Difference, ...], atol: float) -> RecordedCheck:
    """The check's part of ``export.json``."""
    rows = tuple(_recorded(difference) for difference in found)
    worst = worst_of(found)
    return RecordedCheck(atol, worst.max_difference <= atol, _recorded(worst), rows)


def _recorded(difference: Difference) -> RecordedDifference:
    return RecordedDifference(**asdict(difference.shape), max_difference=difference.max_difference)
