"""What a layer may become under limits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import Offer, allowed_weights, check_affordable, offers_of
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.records import Budget, LayerSpec, RankLimits

SQUARE = LayerSpec("encoder.layer.0.attention.self.query", 32, 32, "query", "x")  # factors grow from rank 16 on
WIDE = LayerSpec("encoder.layer.0.intermediate.dense", 64, 32, "intermediate", "y")  # from rank 22 on
LAYERS = [SQUARE, WIDE]


@pytest.mark.parametrize(
    ("limits", "square", "wide"),
    [
        (RankLimits(), Offer(SQUARE, tuple(range(1, 16)), True), Offer(WIDE, tuple(range(1, 22)), True)),
        (RankLimits(multiple=8), Offer(SQUARE, (8,), True), Offer(WIDE, (8, 16), True)),
        (RankLimits(multiple=5, smallest=6), Offer(SQUARE, (10, 15), True), Offer(WIDE, (10, 15, 20), True)),
        (RankLimits(smallest=14, largest=17), Offer(SQUARE, (14, 15), False), Offer(WIDE, (14, 15, 16, 17), False)),
        (RankLimits(multiple=8, largest=20), Offer(SQUARE, (8,), False), Offer(WIDE, (8, 16), False)),
        (RankLimits(smallest=16, largest=17), Offer(SQUARE, (), True), Offer(WIDE, (16, 17), False)),
        (RankLimits(multiple=8, smallest=17), Offer(SQUARE, (), True), Offer(WIDE, (), True)),
        (RankLimits(smallest=99), Offer(SQUARE, (), True), Offer(WIDE, (), True)),
        (RankLimits(largest=2, keep_dense=("*.query",)), Offer(SQUARE, (), True), Offer(WIDE, (1, 2), False)),
        (RankLimits(keep_dense=("encoder.*", "*.query")), Offer(SQUARE, (), True), Offer(WIDE, (), True)),
        (
            RankLimits(multiple=10, keep_dense=(WIDE.name,)),
            Offer(SQUARE, (10,), True),
            Offer(WIDE, (), True),
        ),
    ],
)
def test_limits_leave_these_choices(limits: RankLimits, square: Offer, wide: Offer) -> None:
    assert offers_of(LAYERS, limits) == [square, wide]


@pytest.mark.parametrize("pattern", ["query", "*.Query", "encoder.layer.1.*", ""])
def test_a_pattern_that_matches_no_layer_is_refused(pattern: str) -> None:
    with pytest.raises(RankError, match=re.escape(f"keep-dense {pattern!r} matches no layer; names look like")) as why:
        offers_of(LAYERS, RankLimits(keep_dense=("*.query", pattern)))
    assert SQUARE.name in str(why.value)


@settings(max_examples=100)
@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    multiple=st.integers(1, 6),
    smallest=st.integers(1, 6),
    largest=st.none() | st.integers(6, 40),
)
def test_every_choice_keeps_the_limits_and_saves_weights_and_there_is_always_one(
    sides: tuple[int, int], multiple: int, smallest: int, largest: int | None
) -> None:
    layer = LayerSpec("a", *sides, "query", "x")
    (offer,) = offers_of([layer], RankLimits(multiple, smallest, largest))
    for rank in offer.ranks:
        assert rank % multiple == 0
        assert smallest <= rank <= min(largest or rank, *sides)
        assert factor_weights(layer, rank) < layer.weights
    assert list(offer.ranks) == sorted(set(offer.ranks))
    assert offer.dense == (largest is None or not offer.ranks)
    costs = [factor_weights(layer, rank) for rank in offer.ranks] + [layer.weights] * offer.dense
    assert offer.least_weights == min(costs)


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [(Budget(ratio=0.29), 890), (Budget(ratio=1.0), 3072), (Budget(params=1500), 1000), (Budget(params=10), -490)],
)
def test_a_budget_leaves_linear_weights(budget: Budget, allowed: int) -> None:
    assert allowed_weights(LAYERS, budget, other_parameters=500) == allowed


def test_a_budget_below_the_smallest_choices_is_refused_with_one_that_is_enough() -> None:
    offers = offers_of(LAYERS, RankLimits(smallest=4, keep_dense=("*.query",)))
    smallest = 32 * 32 + 4 * 96
    check_affordable(offers, smallest, other_parameters=500)
    message = (
        "leaves 1,407 linear weights, less than the smallest ranks everywhere need (1,408); "
        "ask for a ratio of at least 0.4584, or 1,908 parameters"
    )
    with pytest.raises(RankError, match=re.escape(message)):
        check_affordable(offers, smallest - 1, other_parameters=500)
    check_affordable(offers, allowed_weights(LAYERS, Budget(ratio=0.4584), 500), other_parameters=500)
    with pytest.raises(RankError, match="leaves 0 linear weights"):
        check_affordable(offers, -3, other_parameters=500)
