"""Agreement of embeddings: laws that hold for any embeddings, and values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn
from transformers import BertConfig
from transformers.modeling_outputs import BaseModelOutput

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.measures import AGREEMENT, NEIGHBOURS, RETRIEVAL, averaged
from fwsvd_export.evaluation.metrics import evaluate_model, metric_of
from fwsvd_export.evaluation.similarity import agreement


class Encoder(nn.Module):
    """Its hidden states are its inputs, one token each."""

    config = BertConfig()
    device = torch.device("cpu")

    def forward(self, input_ids: Tensor) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=input_ids[:, None])


def texts(seed: int, count: int, size: int = 4) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 99), st.integers(3, 30), st.floats(0.1, 10))
def test_a_model_agrees_with_itself_whatever_the_length_of_its_embeddings(seed: int, count: int, scale: float) -> None:
    found = agreement(texts(seed, count), scale * texts(seed, count))
    torch.testing.assert_close(torch.tensor(found), torch.ones(count, 3))


@given(st.integers(0, 99), st.integers(3, 30))
def test_turned_embeddings_have_the_same_neighbours(seed: int, count: int) -> None:
    turn, _ = torch.linalg.qr(texts(seed + 1, 4))
    found = torch.tensor(agreement(texts(seed, count) @ turn, texts(seed, count)))
    torch.testing.assert_close(found[:, 1:], torch.ones(count, 2), rtol=0, atol=1e-4)
    assert found[:, 0].min() < 1 - 1e-3


def test_it_is_the_overlap_of_neighbours_and_the_correlation_of_similarities() -> None:
    ours, theirs = texts(0, 40), texts(1, 40)
    left, right = (nn.functional.normalize(side) @ nn.functional.normalize(side).T for side in (ours, theirs))
    for place, (cosine, overlap, spearman) in enumerate(agreement(ours, theirs)):
        others = [other for other in range(40) if other != place]
        sets = [set(sorted(others, key=lambda it: -float(side[place, it]))[:NEIGHBOURS]) for side in (left, right)]
        assert overlap == len(sets[0] & sets[1]) / NEIGHBOURS
        assert spearman == pytest.approx(spearmanr(left[place][others], right[place][others]).statistic, abs=1e-6)
        assert cosine == pytest.approx(float(torch.cosine_similarity(ours[place], theirs[place], dim=0)), abs=1e-6)


def test_embeddings_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match=r"one model's embeddings have 4 numbers and the other's 5; compare a model"):
        agreement(texts(0, 3), texts(0, 3, size=5))


def test_pairs_are_scored_by_the_cosine_of_their_embeddings() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[0.0, 2.0], [1.0, 1.0], [3.0, 0.0]])
    batch = {"input_ids": torch.cat([first, second]), "labels": torch.tensor([0.0, 1.0, 5.0])}
    found = evaluate_model(Encoder(), [batch], TASKS["sts"])
    assert (found.metric, found.value, found.examples) == ("cosine_spearman", pytest.approx(1.0), 3)
    cosines = [0.0, math.sqrt(0.5), 1.0]
    expected = torch.corrcoef(torch.tensor([cosines, [0.0, 1.0, 5.0]]))[0, 1]
    assert found.beside == {"cosine_pearson": pytest.approx(float(expected), abs=1e-6)}


def test_texts_without_scores_are_compared_with_the_embeddings_they_come_with() -> None:
    rows = texts(0, 12)
    found = evaluate_model(Encoder(), [{"input_ids": rows, "labels": 3 * rows}], TASKS["embedding"])
    assert (found.metric, found.value) == (AGREEMENT[0], pytest.approx(1.0))
    assert found.beside == dict.fromkeys(AGREEMENT[1:], pytest.approx(1.0))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"input_ids": texts(0, 3)}, r"have no scores, .*: give it with --against \(finetune: --teacher\), or pairs"),
        ({"input_ids": texts(0, 1), "labels": texts(0, 1)}, "1 texts are to be compared with each other, and 2 to 10,"),
    ],
)
def test_what_cannot_be_compared(batch: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        evaluate_model(Encoder(), [batch], TASKS["embedding"])


def test_the_metric_of_a_task_depends_on_whether_it_has_scores() -> None:
    scored = TASKS["embedding"].with_columns(None, "other", "score")
    assert [metric_of(task) for task in (scored, TASKS["embedding"])] == ["cosine_spearman", "mean_cosine"]
    assert (averaged(scored), averaged(TASKS["retrieval"]), averaged(TASKS["sst2"])) == ((), RETRIEVAL, ())
