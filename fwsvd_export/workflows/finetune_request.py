"""Everything that ``finetune`` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fwsvd_export.checkpoints.record import RecordedRecipe
from fwsvd_export.data.request import DataRequest
from fwsvd_export.training.settings import TrainingSettings, check_learnable
from fwsvd_export.workflows.source import Source


@dataclass(frozen=True)
class FinetuneRequest:
    """Everything ``finetune`` was asked for.

    Attributes:
        source: the model that comes in, dense or compressed.
        out: the folder that goes out.
        data: to train on.
        validation: to choose the best weights on; None for rows of ``data`` that training leaves.
        teacher: the dense model to distil from; None to train on labels.
        settings: how.
        dtype: of the saved weights; "auto" is what the model's configuration declares.
        overwrite: replace ``out``, and what a killed run of something else left beside it.
        command: what was typed, for the record.
        recipe: the file of options that was used, for the record.

    Raises:
        TrainingError: labels are to be learned that no model predicts.
    """

    source: Source
    out: Path
    data: DataRequest
    validation: DataRequest | None = None
    teacher: Source | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    dtype: str = "auto"
    overwrite: bool = False
    command: tuple[str, ...] = ()
    recipe: RecordedRecipe | None = None

    def __post_init__(self) -> None:
        if self.reads_labels:
            check_learnable(self.data.task)

    @property
    def reads_labels(self) -> bool:
        """Whether the training rows need labels; those of the validation always do."""
        return self.teacher is None or self.settings.label_weight > 0

    @property
    def state_folder(self) -> Path:
        """Where a run that is killed leaves what the same command goes on from."""
        return self.out.absolute().parent / f".{self.out.name}.training"
