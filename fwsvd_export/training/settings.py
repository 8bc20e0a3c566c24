"""How a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import TrainingError, given, is_number, is_whole
from fwsvd_export.storage.schema import Count, Line, Number

EMBEDDINGS = ("freeze", "train")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DISTILLED_EPOCHS, DISTILLED_RATE = 3.0, 3e-4
LABELLED_EPOCHS, LABELLED_RATE = 3.0, 1e-4
REFINE_SCOPES = ("layers", "model")
REFINE_MINUTES = 5.0


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; every None is filled in by ``resolved``.

    Attributes:
        epochs: passes over the training rows, more than 0; also parts of one.
        learning_rate: AdamW's highest, after the warm-up; it then falls linearly to zero.
        embeddings: "freeze" keeps the word embeddings as they are, "train" trains them too.
        label_weight: with a teacher, the weight of the loss on the data's labels beside the distillation loss, at
            least 0; 0 reads no labels. Without a teacher there is nothing else, and it means nothing.
        hidden_weight: with a teacher, the weight of what the hidden states' errors add to its divergence, at least 0.
        evaluations: how often in all the metric is measured, and the state kept that a killed run continues from.
        patience: evaluations in a row without a better metric after which training stops; None never stops early.
        precision: "float32", or that of autocast; "auto" is bfloat16 on a GPU that has it.
        seed: of the order of batches, and of dropout.
    """

    epochs: Number | None = None
    learning_rate: Number | None = None
    embeddings: Line = EMBEDDINGS[0]
    label_weight: Number = 0.0
    hidden_weight: Number = 1.0
    evaluations: Count = 10
    patience: Count | None = None
    precision: Line = PRECISIONS[0]
    seed: Count = 0

    def __post_init__(self) -> None:
        for name, value, why in (
            ("epochs", self.epochs, "passes over the training rows, as 3 or 0.5"),
            ("lr", self.learning_rate, "AdamW's highest learning rate, as 3e-4"),
        ):
            if value is not None and not (is_number(value) and 0 < value < float("inf")):
                raise TrainingError(f"{name} {given(value)}: a number above 0 is allowed ({why})")
        for name, value in (("label weight", self.label_weight), ("hidden weight", self.hidden_weight)):
            if not (is_number(value) and 0 <= value < float("inf")):
                raise TrainingError(f"{name} {given(value)}: a number of at least 0 is allowed")
        for name, number, optional in (("evaluations", self.evaluations, False), ("patience", self.patience, True)):
            if not (number is None and optional) and not (is_whole(number) and number >= 1):
                raise TrainingError(f"{name} {given(number)}: a whole number of at least 1 is allowed")
        for name, choice, allowed in (
            ("embeddings", self.embeddings, EMBEDDINGS),
            ("precision", self.precision, PRECISIONS),
        ):
            if choice not in allowed:
                raise TrainingError(f"{name} {given(choice)}: one of {', '.join(allowed)} is allowed")

    def resolved(self, distilled: bool) -> TrainingSettings:
        """With epochs and learning rate: those for a teacher, or those for labels, where none were given."""
        epochs, rate = (DISTILLED_EPOCHS, DISTILLED_RATE) if distilled else (LABELLED_EPOCHS, LABELLED_RATE)
        return replace(
            self,
            epochs=epochs if self.epochs is None else self.epochs,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
        )


def check_learnable(task: Task) -> None:
    """Refuses to train on labels that are no model's predictions.

    Raises:
        TrainingError: they are grades, which scores are ordered by.
    """
    if task.labels == "rank":
        raise TrainingError(
            f"task {task.name} has grades, which tell how a query's texts are to be ordered, and no scores that a "
            "model could learn; distil from the dense model (finetune: --teacher DENSE; sweep: --training distilled), "
            "with --label-weight 0"
        )
