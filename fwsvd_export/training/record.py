"""``training.json``: how the model in a folder was trained, and what became of its metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fwsvd_export.checkpoints.record import Detail, RecordedRecipe
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Line, Number, Words
from fwsvd_export.training.history import TrainingHistory, TrainingStep
from fwsvd_export.training.settings import TrainingSettings

TRAINING_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(JsonRecord):
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
        recipe: the file of options that was used, None without one.
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
    recipe: RecordedRecipe | None = None
    versions: dict[str, str] = field(default_factory=dict)
    remedy = "train again with this version's finetune"
    newest_format = TRAINING_FORMAT

    @property
    def details(self) -> dict[str, Detail]:
        """What the history of ``compression.json`` says of the training."""
        return {
            "task": self.task,
            "data": self.data,
            "examples": self.examples,
            "teacher": self.teacher,
            "epochs": self.settings.epochs,
            "learning rate": self.settings.learning_rate,
            "metric": self.metric,
            "start": self.start,
            "best": self.best,
            "best step": self.best_step,
        }


def history_fields(history: TrainingHistory) -> dict[str, Any]:
    """The fields of a record that a run's history gives."""
    return {
        "start": history.start.value,
        "best": history.best.value,
        "best_step": history.best.step,
        "planned": history.planned,
        "steps": history.steps,
    }
