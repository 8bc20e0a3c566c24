from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch

from fwsvd_export.compression.report import ParameterCounts
from fwsvd_export.errors import RankError, StatisticsError
from fwsvd_export.records import (
    Budget,
    Factors,
    LayerSpec,
    LayerStatistics,
    RankLimits,
    RankRequest,
    Statistics,
    StatisticsSource,
)

SOURCE = StatisticsSource(model_sha256="abc")


def statistics(**changes: Any) -> Statistics:
    fields = {"layers": {"a": LayerStatistics()}, "examples": 2, "tokens": 9, "collected": ("kfac",), "source": SOURCE}
    return Statistics(**{**fields, **changes})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no size given: give exactly one of ratio, rank and params"),
        ({"ratio": 0.5, "rank": 3}, "ratio and rank given: give exactly one"),
        ({"ratio": 0.5, "rank": 3, "params": 9}, "ratio and rank and params given"),
        ({"ratio": 0.0}, "ratio 0: a number above 0 and at most 1"),
        ({"ratio": -0.5}, "ratio -0.5: a number above 0"),
        ({"ratio": 1.5}, "ratio 1.5: .* at most 1"),
        ({"ratio": float("nan")}, "ratio nan: a number above 0"),
        ({"rank": 0}, "rank 0: a whole number of at least 1"),
        ({"params": 0}, "params 0: a whole number of at least 1"),
    ],
)
def test_a_budget_is_exactly_one_positive_size(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RankError, match=message):
        Budget(**given)


@pytest.mark.parametrize("given", [{"ratio": 1.0}, {"ratio": 1e-9}, {"rank": 1}, {"params": 1}])
def test_a_budget_takes_its_limits(given: dict[str, Any]) -> None:
    budget = Budget(**given)
    assert {"ratio": budget.ratio, "rank": budget.rank, "params": budget.params} == {
        **dict.fromkeys(("ratio", "rank", "params")),
        **given,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"multiple": 0}, "rank multiple 0: a whole number of at least 1"),
        ({"smallest": 0}, "smallest rank 0: a whole number of at least 1"),
        (
            {"largest": 0},
            r"largest rank 0: a whole number of at least 1 \(the smallest rank or the multiple\) is allowed",
        ),
        ({"largest": 4, "smallest": 5}, "largest rank 4: a whole number of at least 5"),
        ({"largest": 7, "multiple": 8}, "largest rank 7: a whole number of at least 8"),
    ],
)
def test_limits_of_ranks_that_no_rank_could_keep_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RankError, match=message):
        RankLimits(**given)


def test_limits_take_equal_bounds_and_a_request_has_none_unless_given() -> None:
    limits = RankLimits(multiple=8, smallest=8, largest=8, keep_dense=("*.key",))
    assert RankRequest(Budget(rank=8), limits=limits).limits == limits
    assert RankRequest(Budget(rank=8)) == RankRequest(Budget(rank=8), None, RankLimits(1, 1, None, ()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"collected": ("kfac", "hessian")}, "collect kfac,hessian: choose one or more of kfac, row, element"),
        ({"collected": ()}, "collect nothing: choose"),
        ({"examples": 0}, "hold no examples"),
        ({"tokens": 0}, "hold no examples"),
    ],
)
def test_statistics_of_nothing_or_of_unknown_collections_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        statistics(**changes)


def test_a_source_knows_two_kinds_of_labels() -> None:
    with pytest.raises(StatisticsError, match="labels 'guessed': one of data, sampled"):
        StatisticsSource(model_sha256="abc", labels="guessed")


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        statistics().examples = 3  # type: ignore[misc]


def test_a_layer_knows_its_size() -> None:
    layer = LayerSpec("encoder.layer.0.output.dense", 32, 64, "output", "encoder.layer.0.output.dense")
    assert (layer.weights, layer.smaller_side) == (2048, 32)


def test_factors_know_their_rank() -> None:
    assert Factors(down=torch.zeros(3, 8), up=torch.zeros(5, 3)).rank == 3


def test_parameter_counts_report_the_share_of_linear_weights() -> None:
    assert ParameterCounts(200, 50, 1000, 850).to_json() == {
        "linear_dense": 200,
        "linear_compressed": 50,
        "ratio": 0.25,
        "total_dense": 1000,
        "total_compressed": 850,
    }
