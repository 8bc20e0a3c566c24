"""Retrieval against measures worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from fwsvd_export.architectures.embed import MeanPooled
from fwsvd_export.data.collection import Collection
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.metrics import evaluate_model, measured
from tests.evaluation.test_similarity import Encoder

TASK = TASKS["retrieval"]
COLLECTION = Collection(
    documents={"a": "one", "b": "two", "c": "three"},
    queries={"q": "which", "r": "who"},
    relevant={"q": {"a": 1, "b": 2}, "r": {"c": 1}},
)
# Documents a, b and c, then the queries: q is nearest to c, then a, then b by its angle; by its length to b
TEXTS = torch.tensor([[1.0, 0.2], [3.0, 3.0], [1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])


class Dot(MeanPooled):
    similarity = "dot"


class Read(list[dict[str, torch.Tensor]]):
    """Batches that know a collection."""

    def __init__(self, embed: Any, order: list[int]) -> None:
        super().__init__({"input_ids": TEXTS[place][None]} for place in order)
        self.collection, self.embed, self.indices = COLLECTION, embed, order


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1]])
def test_documents_are_ranked_by_their_angle(order: list[int]) -> None:
    found, outcomes = measured(Encoder(), Read(MeanPooled(), order), TASK)
    # q finds a (cos .995), c (.995), b: cosines are 0.9951 for a, 0.9950 for c
    gain = (1 / math.log2(2) + 2 / math.log2(4)) / (2 / math.log2(2) + 1 / math.log2(3))
    # r finds b, a, c
    second = 1 / math.log2(4)
    assert outcomes.references == ["q", "r"]
    assert found.value == pytest.approx((gain + second) / 2, abs=1e-6)
    assert found.beside == {"recall_at_100": 1.0, "mrr_at_10": pytest.approx((1 + 1 / 3) / 2)}
    assert (found.metric, found.examples) == ("ndcg_at_10", 2)


def test_a_model_that_compares_by_dot_products_is_ranked_by_them() -> None:
    _, outcomes = measured(Encoder(), Read(Dot(), [0, 1, 2, 3, 4]), TASK)
    best = (2 / math.log2(2) + 1 / math.log2(3)) / (2 / math.log2(2) + 1 / math.log2(3))
    assert outcomes.predictions[0][0] == pytest.approx(best)  # b, a, c


def test_a_part_of_a_collection_cannot_be_searched() -> None:
    with pytest.raises(DataError, match="a collection is searched whole; leave --max-samples and --shard out"):
        evaluate_model(Encoder(), [{"input_ids": TEXTS}], TASK)
