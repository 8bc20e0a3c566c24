"""Options of training, and the settings they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwsvd_export.cli.choices import OneOf
from fwsvd_export.cli.groups import Decorated, Group, option, together
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


def _option(name: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    """The name of an option without its dashes, and what click is told of it."""
    return name, settings


_OPTIONS = (
    _option(
        "epochs",
        type=float,
        show_default=f"{LABELLED_EPOCHS:g}, with --teacher {DISTILLED_EPOCHS:g}",
        help="Number of passes over the training rows; also parts of one.",
    ),
    _option(
        "lr",
        type=float,
        show_default=f"{LABELLED_RATE:g}, with --teacher {DISTILLED_RATE:g}",
        help="Highest learning rate of AdamW; it rises for a tenth of all steps and then falls linearly to zero.",
    ),
    _option(
        "embeddings",
        type=OneOf(EMBEDDINGS),
        default=_DEFAULTS.embeddings,
        show_default=True,
        help="Word embeddings: freeze them, or train them too.",
    ),
    _option(
        "label-weight",
        type=float,
        default=_DEFAULTS.label_weight,
        show_default=True,
        help="Weight of the loss on the data's labels beside the teacher's; 0 reads no labels of the training rows.",
    ),
    _option(
        "hidden-weight",
        type=float,
        default=_DEFAULTS.hidden_weight,
        show_default=True,
        help="Weight of what the hidden states' errors add to the divergence of the predictions, by their Fisher "
        "information.",
    ),
    _option(
        "evaluations",
        type=int,
        default=_DEFAULTS.evaluations,
        show_default=True,
        help="Number of times that the metric is measured, and that what a killed run continues from is kept.",
    ),
    _option(
        "patience",
        type=int,
        show_default="never stop early",
        help="Number of evaluations in a row without a better metric after which training stops.",
    ),
    _option(
        "precision",
        type=OneOf(PRECISIONS),
        default=_DEFAULTS.precision,
        show_default=True,
        help="Precision of the arithmetic; auto is bfloat16 on a GPU that has it, else float32.",
    ),
)


def training_options(prefix: str = "") -> Callable[[Decorated], Decorated]:
    """Adds the options of training; pass their values, and that of --seed, to ``settings_of``.

    Args:
        prefix: of their names, for a command where the plain ones mean something else.
    """
    before = f"--{prefix}-" if prefix else "--"
    return together(*(option(Group.TRAINING, f"{before}{name}", **settings) for name, settings in _OPTIONS))


def settings_of(options: Options, prefix: str = "") -> TrainingSettings:
    """The settings; takes their options out of ``options``, in which the seed stays for the data.

    Args:
        options: values by name.
        prefix: of the names, as it was given to ``training_options``.

    Raises:
        TrainingError: a value that is not allowed.
    """
    names = ("epochs", "embeddings", "label_weight", "hidden_weight", "evaluations", "patience", "precision")
    before = f"{prefix}_" if prefix else ""
    chosen = {name: options.pop(f"{before}{name}") for name in names}
    return TrainingSettings(learning_rate=options.pop(f"{before}lr"), seed=options["seed"], **chosen)
