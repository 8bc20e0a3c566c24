"""Options of training, and the settings they become."""

from __future__ import annotations

from fwsvd_export.cli.choices import OneOf
from fwsvd_export.cli.groups import Group, option, together
from fwsvd_export.cli.options import Options
from fwsvd_export.training.settings import (
    DISTILLED_EPOCHS,
    DISTILLED_RATE,
    EMBEDDINGS,
    LABELLED_EPOCHS,
    LABELLED_RATE,
    PRECISIONS,
    TrainingSettings,
)

_DEFAULTS = TrainingSettings()

# Adds the options of training; pass their values, and that of --seed, to ``settings_of``.
training_options = together(
    option(
        Group.TRAINING,
        "--epochs",
        type=float,
        show_default=f"{LABELLED_EPOCHS:g}, with --teacher {DISTILLED_EPOCHS:g}",
        help="Number of passes over the training rows; also parts of one.",
    ),
    option(
        Group.TRAINING,
        "--lr",
        type=float,
        show_default=f"{LABELLED_RATE:g}, with --teacher {DISTILLED_RATE:g}",
        help="Highest learning rate of AdamW; it rises for a tenth of all steps and then falls linearly to zero.",
    ),
    option(
        Group.TRAINING,
        "--embeddings",
        type=OneOf(EMBEDDINGS),
        default=_DEFAULTS.embeddings,
        show_default=True,
        help="Word embeddings: freeze them, or train them too.",
    ),
    option(
        Group.TRAINING,
        "--label-weight",
        type=float,
        default=_DEFAULTS.label_weight,
        show_default=True,
        help="Weight of the loss on the data's labels beside the teacher's; 0 reads no labels of the training rows.",
    ),
    option(
        Group.TRAINING,
        "--hidden-weight",
        type=float,
        default=_DEFAULTS.hidden_weight,
        show_default=True,
        help="Weight of the error of the hidden states beside the teacher's predictions.",
    ),
    option(
        Group.TRAINING,
        "--evaluations",
        type=int,
        default=_DEFAULTS.evaluations,
        show_default=True,
        help="Number of times that the metric is measured, and that what a killed run continues from is kept.",
    ),
    option(
        Group.TRAINING,
        "--patience",
        type=int,
        show_default="never stop early",
        help="Number of evaluations in a row without a better metric after which training stops.",
    ),
    option(
        Group.TRAINING,
        "--precision",
        type=OneOf(PRECISIONS),
        default=_DEFAULTS.precision,
        show_default=True,
        help="Precision of the arithmetic; auto is bfloat16 on a GPU that has it, else float32.",
    ),
)


def settings_of(options: Options) -> TrainingSettings:
    """The settings; takes their options out of ``options``, in which the seed stays for the data.

    Raises:
        TrainingError: a value that is not allowed.
    """
    names = ("epochs", "embeddings", "label_weight", "hidden_weight", "evaluations", "patience", "precision")
    chosen = {name: options.pop(name) for name in names}
    return TrainingSettings(learning_rate=options.pop("lr"), seed=options["seed"], **chosen)
