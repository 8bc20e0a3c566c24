"""``export.json``: what an ONNX folder was made from, and how it was checked and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fwsvd_export.checkpoints.record import FileDigest
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Line, Number, Words, to_builtins

EXPORT_FORMAT = 1
EXPORT_AGAIN = "run fwsvd-export onnx --overwrite again"


@dataclass(frozen=True)
class RecordedDifference:
    """The largest difference of any output from torch's at one shape of input."""

    batch_size: Count
    length: Count
    padded: bool
    max_difference: Number


@dataclass(frozen=True)
class RecordedCheck:
    """The float model against torch: ``within`` says whether the worst shape keeps to ``atol``."""

    atol: Number
    within: bool
    worst: RecordedDifference
    shapes: tuple[RecordedDifference, ...]


@dataclass(frozen=True)
class MixedPrecisionTrial:
    """How many nodes stayed in float, the metric, and whether the accuracy target was met.

    ``low`` and ``high`` are the ends of the interval of its difference from the float model; None in a file of before.
    """

    kept_float: Count
    value: Number
    kept: bool
    low: Number | None = None
    high: Number | None = None


@dataclass(frozen=True)
class RecordedSaturation:
    """How large sums of two products of bytes can become in an int8 file, over all inputs.

    Attributes:
        matrices: those that are multiplied in 8 bits.
        largest_pair_sum: of any of them; 0 without matrices.
        limit: what 16 bits hold.
        safe: whether none is above it.
        pairs: of weights.
        avoided_pairs: those that the largest weight as ±127 would have brought above the limit.
    """

    matrices: Count
    largest_pair_sum: Count
    limit: Count
    safe: bool
    pairs: Count
    avoided_pairs: Count


@dataclass(frozen=True)
class RecordedInt8:
    """The int8 model; but for ``max_difference`` and ``saturation``, all are None or empty when no data measured it.

    Attributes:
        max_difference: of any output from torch's.
        task: preset.
        data: its name.
        examples: how many.
        metric: its name.
        float_value: of the float ONNX model.
        value: of the int8 model.
        max_drop: how far it may be below the float one's; None where nothing was asked.
        kept: whether it is not; None where nothing was asked.
        kept_float: nodes left in float.
        trials: mixed models that were tried.
        sensitivities: node -> root mean square change of the predictions when only it is quantised.
        drop: ``float_value - value``.
        saturation: the bound of its sums; None in a file of before.
        low: lower end of the interval of ``value - float_value``; None in a file of before, as the next two.
        high: upper end.
        confidence: of the interval.
    """

    max_difference: Number
    task: Line | None = None
    data: Line | None = None
    examples: Count | None = None
    metric: Line | None = None
    float_value: Number | None = None
    value: Number | None = None
    max_drop: Number | None = None
    kept: bool | None = None
    kept_float: Words = ()
    trials: tuple[MixedPrecisionTrial, ...] = ()
    sensitivities: dict[str, Number] | None = None
    drop: Number | None = None
    saturation: RecordedSaturation | None = None
    low: Number | None = None
    high: Number | None = None
    confidence: Number | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``export.json``: difference and bound alone when it was not measured on data."""
        content: dict[str, Any] = to_builtins(self)
        if self.saturation is None:
            del content["saturation"]
        always = ("max_difference", "saturation")
        return content if self.metric is not None else {name: content[name] for name in always if name in content}


@dataclass(frozen=True)
class RecordedOpenvinoInt8:
    """OpenVINO's model in 8 bits.

    Attributes:
        data: name of the text that the ranges of activations were taken from.
        texts: how many of it.
    """

    data: Line
    texts: Count


@dataclass(frozen=True, kw_only=True)
class ExportRecord(JsonRecord):
    """The content of ``export.json``; docs/formats.md describes every field."""

    format: Count = EXPORT_FORMAT
    model: str
    class_name: Line
    weights_sha256: Line
    file_sha256: Line
    settings: dict[str, Any]
    opset: Count
    check: RecordedCheck
    int8: RecordedInt8 | None
    openvino_int8: RecordedOpenvinoInt8 | None = None
    files: dict[str, FileDigest]
    seconds: dict[str, Number] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    pooled: bool = False
    remedy = EXPORT_AGAIN
    newest_format = EXPORT_FORMAT

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``export.json``; ``openvino_int8`` is left out where there is none."""
        content = {**super().to_json(), "int8": None if self.int8 is None else self.int8.to_json()}
        if self.openvino_int8 is None:
            del content["openvino_int8"]
        return content
