"""Texts are ranked query by query, whatever batches their pairs lie in."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.metrics import evaluate_model, measured

TASK = TASKS["rerank"]
# Number of a pair -> its query, grade and score
PAIRS = {0: ("q", 0, 3.0), 1: ("r", 1, 1.0), 2: ("q", 1, 2.0), 3: ("n", 0, 5.0), 4: ("r", 0, -1.0), 9: ("q", 2, 1.0)}


class Scorer(torch.nn.Module):
    """Scores a pair by what stands in its place."""

    device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor) -> Any:
        return SimpleNamespace(logits=torch.tensor([[PAIRS[int(place)][2]] for place in input_ids[:, 0]]))


class Read(list[dict[str, torch.Tensor]]):
    """Batches of two pairs, which know their queries."""

    def __init__(self, order: list[int]) -> None:
        halves = [order[start : start + 2] for start in range(0, len(order), 2)]
        super().__init__(
            {"input_ids": torch.tensor(half)[:, None], "labels": torch.tensor([PAIRS[place][1] for place in half])}
            for half in halves
        )
        self.indices, self.queries = order, {place: pair[0] for place, pair in PAIRS.items()}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 9], [9, 4, 3, 2, 1, 0], [4, 0, 9, 1, 3, 2]])
def test_every_query_has_its_own_ranking(order: list[int]) -> None:
    found, outcomes = measured(Scorer(), Read(order), TASK)
    gain = (1 / math.log2(3) + 2 / math.log2(4)) / (2 / math.log2(2) + 1 / math.log2(3))
    assert outcomes.references == ["q", "r"], "n has no text that answers it"
    assert outcomes.predictions == [pytest.approx((gain, 1 / 2)), pytest.approx((1.0, 1.0))]
    assert (found.metric, found.value, found.examples) == ("ndcg_at_10", pytest.approx((gain + 1) / 2), 2)
    assert found.beside == {"mrr_at_10": pytest.approx(0.75)}


def test_batches_that_do_not_know_their_queries_are_refused() -> None:
    batch = {"input_ids": torch.tensor([[0]]), "labels": torch.tensor([1])}
    with pytest.raises(DataError, match="these batches do not say what query a pair is of; give those of"):
        evaluate_model(Scorer(), [batch], TASK)
