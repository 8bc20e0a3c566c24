"""``losses.json`` of ``compress --report``: predicted and measured loss of every factorised layer."""

from __future__ import annotations

from dataclasses import dataclass

from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Line, Number, Size


@dataclass(frozen=True)
class RecordedLoss:
    """One factorised layer: the loss its solver predicted, and the mean rise of the task loss that was measured."""

    name: Line
    rank: Size
    predicted: Number
    measured: Number


@dataclass(frozen=True, kw_only=True)
class RecordedLosses(JsonRecord):
    """The content of ``losses.json``; files of earlier versions lack what has a default.

    Attributes:
        rank_correlation: Spearman's, of predicted and measured losses; None with fewer than three different ones.
        layers: from the first to the last.
        examples: of the calibration data, that losses were measured on.
        base_model: name of the dense model.
        base_sha256: of its weights, as ``compression.json`` has it.
        method: the solver.
    """

    rank_correlation: Number | None
    layers: tuple[RecordedLoss, ...]
    examples: Count
    base_model: Line | None = None
    base_sha256: Line | None = None
    method: Line | None = None
    remedy = "compress again with --report"
