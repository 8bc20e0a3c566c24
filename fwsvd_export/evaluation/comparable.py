"""Whether two models can be compared on a task at all."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, listed
from fwsvd_export.evaluation.metrics import names_of

_REMEDY = "compare it with the model that it was made from"


def check_same_head(ours: Encoder, dense: Encoder, against: str) -> None:
    """Refuses two models that do not predict the same kind of thing.

    Args:
        ours: of the one model.
        dense: of what it is compared with.
        against: what messages call that one.

    Raises:
        DataError: another head.
    """
    if ours.head.ending != dense.head.ending:
        raise DataError(
            f"{against} is a {dense.dense_class_name}, and the model that is compared with it a "
            f"{ours.dense_class_name}: two models with the same head are needed; {_REMEDY}"
        )


def check_same_classes(ours: tuple[Any, Task], dense: tuple[Any, Task], against: str) -> None:
    """Refuses two models that know other classes; their order may differ.

    Args:
        ours: the one model, and the task as its data has it.
        dense: likewise what it is compared with.
        against: what messages call that one.

    Raises:
        DataError: other classes.
    """
    names = [[str(name) for name in names_of(model, task).values()] for model, task in (ours, dense)]
    if sorted(names[0]) != sorted(names[1]):
        raise DataError(
            f"{against} calls its classes {listed(names[1])}, and the model that is compared with it "
            f"{listed(names[0])}: the same ones are needed; {_REMEDY}, or name the classes of both with --label-names"
        )
