"""Word embeddings become two factors: the rank that was asked for, the best factors in the words' own norm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.embeddings import WORD_DAMPING, solve_embedding
from fwsvd_export.compression.prepare import compress_model
from fwsvd_export.compression.report import EmbeddingReport
from fwsvd_export.compression.size import embedding_rank
from fwsvd_export.errors import RankError, StatisticsError
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING
from fwsvd_export.records import Budget, RankLimits, RankRequest, Statistics
from fwsvd_export.solvers.table import SOLVERS
from tests.helpers import inputs_of

WORDS, WIDTH = 25, 32
TABLE = "embeddings.word_embeddings"
FISHER_METHODS = [name for name, solver in SOLVERS.items() if solver.needs is not None]


def size_of(embeddings: float | None, **limits: Any) -> RankRequest:
    return RankRequest(Budget(rank=4), None, RankLimits(**limits), embeddings)


@pytest.fixture
def statistics(tiny_model: Any, make_batches: Callable[..., Any]) -> Statistics:
    return fe.collect_statistics(tiny_model, make_batches(24, 8), collect=("kfac", "row", "element"))


def table_of(model: Any) -> Tensor:
    return model.base_model.embeddings.word_embeddings.weight.detach()


def product_of(solution: Any) -> np.ndarray[Any, Any]:
    return (solution.factors.up.double() @ solution.factors.down.double()).numpy()


@pytest.mark.parametrize("class_name", ["BertModel", "BertForMaskedLM"])
def test_the_table_is_a_layer_of_words_by_width(class_name: str, make_head: Callable[..., Any]) -> None:
    table = encoder_of(make_head(class_name)).embedding
    assert (table.name, table.out_features, table.in_features, table.weights) == (TABLE, WORDS, WIDTH, WORDS * WIDTH)


@pytest.mark.parametrize("multiple", [1, 2, 5])
@pytest.mark.parametrize("share", [0.18, 0.2, 0.3, 0.55, 0.75, 0.93])
def test_a_rank_uses_as_much_of_its_share_as_it_can_and_no_more(
    share: float, multiple: int, make_head: Callable[..., Any]
) -> None:
    model = make_head("BertModel", vocab_size=300)
    rank = embedding_rank(encoder_of(model).embedding, size_of(share, multiple=multiple))
    assert rank is not None
    assert rank % multiple == 0
    assert rank * (300 + WIDTH) <= share * 300 * WIDTH < (rank + multiple) * (300 + WIDTH)


def test_a_share_that_is_met_exactly_is_not_missed_by_rounding(make_head: Callable[..., Any]) -> None:
    model = make_head("BertModel", vocab_size=288)  # a rank is 320 weights of 9216
    assert embedding_rank(encoder_of(model).embedding, size_of(0.625)) == 18
    assert embedding_rank(encoder_of(model).embedding, size_of(0.6249)) == 17


@pytest.mark.parametrize("share", [None, 1.0])
def test_a_table_that_may_keep_all_its_weights_stays_as_it_is(
    share: float | None, tiny_model: Any, statistics: Statistics
) -> None:
    size = size_of(share)
    assert embedding_rank(encoder_of(tiny_model).embedding, size) is None
    assert embedding_rank(encoder_of(tiny_model).embedding, size_of(share, multiple=64)) is None
    made = compress_model(inputs_of(tiny_model, "kfac", size, statistics))
    assert made.report.embedding == EmbeddingReport(TABLE, (WORDS, WIDTH), None, 0.0)
    assert torch.equal(table_of(made.model), table_of(tiny_model))
    assert embedding_rank(encoder_of(tiny_model).embedding, size_of(0.99)) == 13, "one weight less and it is factorised"


@pytest.mark.parametrize(
    ("share", "multiple", "sentence"),
    [
        (0.05, 1, "embeddings 0.05 leaves 40 weights, less than rank 1 needs (57); ask for at least 0.0713"),
        (0.5, 8, "embeddings 0.5 leaves 400 weights, less than rank 8 needs (456); ask for at least 0.57"),
    ],
)
def test_a_share_too_small_for_any_rank_is_refused(share: float, multiple: int, sentence: str, tiny_model: Any) -> None:
    limits = RankLimits(multiple=multiple)
    with pytest.raises(RankError) as refusal:
        embedding_rank(encoder_of(tiny_model).embedding, size_of(share, multiple=multiple))
    assert str(refusal.value) == sentence
    with pytest.raises(RankError) as refusal:  # before statistics are asked for
        fe.compress(tiny_model, method="kfac", ratio=0.5, limits=limits, embeddings=share)
    assert str(refusal.value) == sentence
    enough = float(sentence.rpartition(" ")[2])
    assert embedding_rank(encoder_of(tiny_model).embedding, size_of(enough, multiple=multiple)) == multiple


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_that_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(RankError) as refusal:
        size_of(share)
    assert str(refusal.value) == (
        f"embeddings {share:g}: a number above 0 and at most 1 is allowed (the fraction of the word embeddings' "
        "weights to keep)"
    )


@pytest.mark.parametrize("rank", [1, 5, 13])
def test_factors_are_the_weighted_truncation(rank: int, tiny_model: Any, statistics: Statistics) -> None:
    """With w words' weights and G the directions' metric: the SVD of w^½ W G^½ truncated, both roots undone."""
    found = solve_embedding(encoder_of(tiny_model), SOLVERS["kfac"], statistics, rank)
    row = statistics.embedding.row.double().numpy() / statistics.examples
    words = np.sqrt(row + WORD_DAMPING * row.mean())
    gram = statistics.embedding.gradient_gram.double().numpy()
    gram = gram / np.trace(gram)
    values, vectors = np.linalg.eigh(gram + GRADIENT_DAMPING * np.trace(gram) / WIDTH * np.eye(WIDTH))
    root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    left, singular, right = np.linalg.svd(words[:, None] * table_of(tiny_model).double().numpy() @ root)
    expected = (left[:, :rank] * singular[:rank]) @ right[:rank] @ inverse / words[:, None]
    np.testing.assert_allclose(product_of(found), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert found.loss == pytest.approx(0.5 * (singular[rank:] ** 2).sum(), rel=1e-4)
    assert (found.factors.up.shape, found.factors.down.shape) == ((WORDS, rank), (rank, WIDTH))
    assert found.status == "exact"


def test_factors_of_full_rank_are_the_table(tiny_model: Any, statistics: Statistics) -> None:
    found = solve_embedding(encoder_of(tiny_model), SOLVERS["kfac"], statistics, WORDS)
    np.testing.assert_allclose(product_of(found), table_of(tiny_model).numpy(), atol=1e-5)
    assert found.loss == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("with_statistics", [True, False])
def test_svd_truncates_without_weights(with_statistics: bool, tiny_model: Any, statistics: Statistics) -> None:
    found = solve_embedding(encoder_of(tiny_model), SOLVERS["svd"], statistics if with_statistics else None, 6)
    left, singular, right = np.linalg.svd(table_of(tiny_model).double().numpy())
    np.testing.assert_allclose(product_of(found), (left[:, :6] * singular[:6]) @ right[:6], atol=1e-5)
    assert found.loss == pytest.approx(0.5 * (singular[6:] ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("method", FISHER_METHODS)
def test_every_method_with_statistics_weighs_the_words(method: str, tiny_model: Any, statistics: Statistics) -> None:
    small = fe.compress(tiny_model, statistics=statistics, method=method, rank=6, embeddings=0.5)
    expected = solve_embedding(encoder_of(tiny_model), SOLVERS["kfac"], statistics, 7)
    embeddings = small.bert.embeddings.word_embeddings
    assert torch.equal(embeddings.table.weight, expected.factors.up)
    assert torch.equal(embeddings.projection.weight, expected.factors.down.T)
    assert small.config.low_rank["ranks"][TABLE] == 7
    assert all(tensor.is_contiguous() for tensor in small.state_dict().values()), "or safetensors refuses them"


def test_words_that_matter_are_kept_better(tiny_model: Any, statistics: Statistics) -> None:
    row = torch.ones(WORDS)
    row[7] = 1e4
    sums = replace(statistics, embedding=replace(statistics.embedding, row=row))
    plain, weighted = (solve_embedding(encoder_of(tiny_model), SOLVERS["kfac"], one, 3) for one in (statistics, sums))
    errors = [np.abs(product_of(one) - table_of(tiny_model).numpy()).sum(axis=1) for one in (plain, weighted)]
    assert errors[1][7] < 0.1 * errors[0][7]


def test_statistics_of_before_are_refused_only_where_they_are_needed(tiny_model: Any, statistics: Statistics) -> None:
    old = replace(statistics, embedding=None)
    with pytest.raises(StatisticsError) as refusal:
        fe.compress(tiny_model, statistics=old, rank=5, embeddings=0.5)
    assert str(refusal.value) == (
        "the statistics hold nothing of the word embeddings (an earlier version collected them); collect again with "
        "fwsvd-export fisher"
    )
    assert fe.compress(tiny_model, statistics=old, rank=5).config.low_rank["ranks"].get(TABLE) is None
    assert fe.compress(tiny_model, statistics=old, rank=5, embeddings=1.0).config.low_rank["ranks"].get(TABLE) is None


@pytest.mark.parametrize("class_name", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
@pytest.mark.parametrize("size", [{"ratio": 0.4}, {"rank": 6}, {"params": 14_000}])
def test_reported_counts_and_rank_are_those_of_the_model(
    class_name: str, size: dict[str, Any], make_head: Callable[..., Any]
) -> None:
    dense = make_head(class_name)
    made = compress_model(inputs_of(dense, "svd", RankRequest(Budget(**size), embeddings=0.4), None))
    assert made.report.parameters.total_compressed == total_parameters(made.model)
    assert made.report.parameters.total_compressed <= size.get("params", made.report.parameters.total_dense)
    assert (made.report.embedding.name, made.report.embedding.shape, made.report.embedding.rank) == (
        TABLE,
        (WORDS, WIDTH),
        5,
    )
    assert made.report.embedding.predicted_loss > 0
    assert TABLE not in made.report.plan.ranks
    assert TABLE not in {layer.name for layer in made.report.layers}


def test_what_the_table_saves_is_left_for_the_layers(tiny_model: Any, statistics: Statistics) -> None:
    budget = Budget(params=12_000)
    dense, factorised = (
        compress_model(inputs_of(tiny_model, "kfac", RankRequest(budget, embeddings=share, widths="keep"), statistics))
        for share in (None, 0.3)
    )
    saved = WORDS * WIDTH - 4 * (WORDS + WIDTH)
    gained = factorised.report.parameters.linear_compressed - dense.report.parameters.linear_compressed
    assert saved - 96 < gained < saved + 96, "no step of a layer has more weights"
    assert 12_000 - 96 < factorised.report.parameters.total_compressed <= 12_000


def test_the_dense_model_is_left_as_it_was(tiny_model: Any, statistics: Statistics) -> None:
    before = weights_sha256(tiny_model)
    small = fe.compress(tiny_model, statistics=statistics, ratio=0.4, embeddings=0.4)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert weights_sha256(tiny_model) == before
