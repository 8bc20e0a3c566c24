"""Forward passes: what a task's predictions are, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, WeightError
from fwsvd_export.evaluation.forward import Forward


class Answering:
    """Hands out what it was made with, and remembers what it was called with."""

    device = torch.device("cpu")

    def __init__(self, **outputs: Tensor) -> None:
        self.outputs = outputs
        self.inputs: dict[str, Any] = {}

    def __call__(self, **inputs: Tensor) -> Any:
        self.inputs = inputs
        return SimpleNamespace(**self.outputs)


IDS = torch.ones(2, 5, dtype=torch.long)


def test_predictions_come_in_float32_and_labels_are_not_shown_to_the_model() -> None:
    model = Answering(start_logits=torch.ones(2, 5, dtype=torch.float16), end_logits=torch.zeros(2, 5))
    forward = Forward(model, TASKS["squad"])
    starts, ends = forward({"input_ids": IDS, "start_positions": IDS[:, 0], "end_positions": IDS[:, 0]})
    assert (starts.dtype, starts.shape, ends.shape) == (torch.float32, (2, 5), (2, 5))
    assert list(model.inputs) == ["input_ids"]
    assert forward.seconds > 0


@pytest.mark.parametrize(
    ("task", "outputs", "head"),
    [
        ("squad", {"logits": torch.zeros(2, 3)}, "question answering"),
        ("sst2", {"logits": torch.zeros(2, 5, 3)}, "sequence classification"),
        ("sst2", {"start_logits": torch.zeros(2, 5), "end_logits": torch.zeros(2, 5)}, "sequence classification"),
        ("stsb", {"last_hidden_state": torch.zeros(2, 5, 3)}, "sequence classification"),
        ("ner", {"logits": torch.zeros(2, 3)}, "token classification"),
    ],
)
def test_another_head_is_refused(task: str, outputs: dict[str, Tensor], head: str) -> None:
    with pytest.raises(DataError, match=f"^task {task} needs a model with a {head} head, and this one has another$"):
        Forward(Answering(**outputs), TASKS[task])({"input_ids": IDS})


def test_predictions_that_are_not_finite_are_refused() -> None:
    model = Answering(start_logits=torch.zeros(2, 5), end_logits=torch.full((2, 5), float("inf")))
    with pytest.raises(WeightError, match="NaN or infinite values; its weights are damaged"):
        Forward(model, TASKS["squad"])({"input_ids": IDS})
