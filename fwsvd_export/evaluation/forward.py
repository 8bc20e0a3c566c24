"""A model that is asked for its predictions, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.inputs import LABEL_KEYS
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, WeightError

# Task.labels -> the outputs that predict them, their dimensions, and the head that has them
_PER_EXAMPLE = (("logits",), 2, "sequence classification")
_OUTPUTS = {
    "class": _PER_EXAMPLE,
    "number": _PER_EXAMPLE,
    "multilabel": _PER_EXAMPLE,
    "rank": _PER_EXAMPLE,
    "tokens": (("logits",), 3, "token classification"),
    "span": (("start_logits", "end_logits"), 2, "question answering"),
    "similarity": (("last_hidden_state",), 3, "bare encoder's"),
    "retrieval": (("last_hidden_state",), 3, "bare encoder's"),
}


class Forward:
    """The forward passes of a model.

    Args:
        model: in evaluation mode; a torch model, or one that is called like it and has ``device``
            (``export.session.OnnxModel``).
        task: says which outputs are the predictions.

    Attributes:
        seconds: wall time of the passes so far.
    """

    def __init__(self, model: Any, task: Task) -> None:
        self._model = model
        self._task = task
        self.seconds = 0.0

    @torch.inference_mode()
    def __call__(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The predictions of one batch, float32 on the CPU: (examples, classes), or (examples, tokens, …).

        Raises:
            DataError: the model has another head.
            WeightError: predictions that are not finite.
        """
        inputs = {name: tensor.to(self._model.device) for name, tensor in batch.items() if name not in LABEL_KEYS}
        start = time.perf_counter()
        outputs = self._model(**inputs)
        names, dimensions, head = _OUTPUTS[self._task.labels]
        found: list[Tensor | None] = [getattr(outputs, name, None) for name in names]
        there = [values.float().cpu() for values in found if values is not None and values.dim() == dimensions]
        self.seconds += time.perf_counter() - start
        if len(there) < len(names):
            raise DataError(f"task {self._task.name} needs a model with a {head} head, and this one has another")
        if not all(bool(torch.isfinite(values).all()) for values in there):
            raise WeightError("the model predicts NaN or infinite values; its weights are damaged")
        return tuple(there)
