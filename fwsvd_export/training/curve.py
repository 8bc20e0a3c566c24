"""``training.json``: how the loss and the metric went while a model was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.errors import FwsvdExportError
from fwsvd_export.storage.schema import Count, Line, Number, read_as, to_builtins

_REMEDY = "train again with this version's finetune, or take the file away"


@dataclass(frozen=True)
class TrainingStep:
    """What was known at one step: the training loss, the metric on the validation rows, or both."""

    step: Count
    loss: Number | None = None
    value: Number | None = None


@dataclass(frozen=True)
class TrainingCurve:
    """The content of ``training.json``.

    Attributes:
        metric: name of the task's metric.
        start: its value before training.
        best: of the checkpoint that was kept, the start included.
        steps: in order.
    """

    metric: Line
    start: Number
    best: Number
    steps: tuple[TrainingStep, ...]

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str, error_class: type[FwsvdExportError]) -> TrainingCurve:
        """The curve in a JSON object.

        Args:
            document: as it was read.
            place: the file, as the user knows it.
            error_class: of the errors.

        Raises:
            FwsvdExportError: of that class: a field is missing or holds something else.
        """
        return read_as(cls, document, place, error_class, _REMEDY)

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``training.json``."""
        content: dict[str, Any] = to_builtins(self)
        return content
