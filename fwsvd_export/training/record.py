"""``training.json``: how the model in a folder was trained, and what became of its metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fwsvd_export.errors import FwsvdExportError
from fwsvd_export.storage.schema import Count, Line, Number, Words, check_format, read_as, to_builtins
from fwsvd_export.training.history import TrainingStep
from fwsvd_export.training.settings import TrainingSettings

TRAINING_FORMAT = 1
_REMEDY = "train again with this version's finetune"


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """The content of ``training.json``.

    Attributes:
        model: that came in, as it is called.
        model_sha256: of its weights.
        teacher: dense model that it was distilled from; None where it was trained on labels alone.
        teacher_sha256: of its weights.
        task: preset.
        data: name of the training data, without folders.
        examples: that it was trained on.
        validation: name of the data that the best weights were chosen on.
        validation_examples: of it.
        metric: name of the task's metric.
        start: the metric before training, on the validation data.
        best: that of the weights which were kept.
        best_step: batches until then; 0 when nothing was better than the start.
        planned: batches of the whole run; fewer were used where it stopped early.
        steps: every evaluation.
        settings: as they were used.
        batch_size: examples per batch and process.
        processes: that trained together.
        seconds: wall time by phase of the run that ended; what runs that were killed took is not in it.
        command: what was typed.
        versions: library -> version.
    """

    format: Count = TRAINING_FORMAT
    model: Line
    model_sha256: Line
    teacher: Line | None
    teacher_sha256: Line | None
    task: Line
    data: Line
    examples: Count
    validation: Line
    validation_examples: Count
    metric: Line
    start: Number
    best: Number
    best_step: Count
    planned: Count
    steps: tuple[TrainingStep, ...]
    settings: TrainingSettings
    batch_size: Count
    processes: Count = 1
    seconds: dict[str, Number] = field(default_factory=dict)
    command: Words | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str, error_class: type[FwsvdExportError]) -> TrainingRecord:
        """The record in a JSON object.

        Args:
            document: as it was read.
            place: the file, as the user knows it.
            error_class: of the errors.

        Raises:
            FwsvdExportError: of that class: a later format, or a field that is missing or holds something else.
        """
        check_format(document, TRAINING_FORMAT, place, error_class, _REMEDY)
        return read_as(cls, document, place, error_class, _REMEDY)

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``training.json``."""
        content: dict[str, Any] = to_builtins(self)
        return content
