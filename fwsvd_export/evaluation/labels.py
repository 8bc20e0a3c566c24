"""Labels of batches that a caller hands over, checked against what the task scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError


def labelled(batches: Iterable[dict[str, Tensor]], task: Task, config: Any) -> Iterator[dict[str, Tensor]]:
    """The same batches, each checked when its turn comes; one label per example is (examples).

    Args:
        batches: as ``checked_batches`` gives them.
        task: says what the labels are, and what the classes are called where it names them itself.
        config: of the model.

    Raises:
        DataError: no labels, another number of them, another type, or one that the model does not know.
    """
    classes = int(config.num_labels) if task.label_names is None else len(task.label_names)
    for batch in batches:
        if "labels" not in batch:
            raise DataError(f"a batch has {', '.join(batch)}: labels are needed to measure on; add them to the batches")
        labels, ids = batch["labels"], batch["input_ids"]
        if task.labels == "tokens":
            labels = _classes(_shaped(labels, ids.shape), classes, none_allowed=True)
        elif task.labels == "class":
            labels = _classes(_shaped(labels, ids.shape[:1]), classes)
        elif task.labels == "multilabel":
            labels = _truths(_shaped(labels, torch.Size((len(ids), classes))))
        elif task.labels in ("number", "rank"):
            labels = _numbers(_shaped(labels, ids.shape[:1]))
        yield {**batch, "labels": labels}


def _shaped(labels: Tensor, shape: torch.Size) -> Tensor:
    if labels.numel() != shape.numel():
        raise DataError(
            f"labels have the shape {tuple(labels.shape)}, and the task needs {tuple(shape)}; choose the task that fits"
        )
    return labels.reshape(shape)


def _classes(labels: Tensor, count: int, none_allowed: bool = False) -> Tensor:
    if labels.is_floating_point():
        kind = str(labels.dtype).removeprefix("torch.")
        raise DataError(
            f"labels are {kind}: class numbers from 0 to {count - 1} are needed as int64; convert them with .long()"
        )
    known = (labels >= 0) & (labels < count)
    if none_allowed:
        known |= labels == IGNORED_LABEL
    if not bool(known.all()):
        none = f", or {IGNORED_LABEL} for no label" if none_allowed else ""
        raise DataError(
            f"labels hold {int(labels[~known][0])}: class numbers from 0 to {count - 1} are needed{none}; number them "
            "as the model does (config.id2label)"
        )
    return labels


def _truths(labels: Tensor) -> Tensor:
    if wrong := [value for value in labels.unique().tolist() if value not in (0, 1)]:
        raise DataError(f"labels hold {wrong[0]:g}: 0 or 1 is needed for every class of every example")
    return labels


def _numbers(labels: Tensor) -> Tensor:
    if not bool(torch.isfinite(labels).all()):
        raise DataError("labels hold NaN or an infinite number; finite ones are needed: leave these examples out")
    return labels
