"""What a layer may become under limits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import RankChoices, allowed_weights, check_affordable, choices_of
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.records import Budget, LayerSpec, RankLimits

SQUARE = LayerSpec("encoder.layer.0.attention.self.query", 32, 32, "query", "x")  # factors grow from rank 16 on
WIDE = LayerSpec("encoder.layer.0.intermediate.dense", 64, 32, "intermediate", "y")  # from rank 22 on
LAYERS = [SQUARE, WIDE]


@pytest.mark.parametrize(
    ("limits", "square", "wide"),
    [
        (RankLimits(), RankChoices(SQUARE, tuple(range(1, 16)), True), RankChoices(WIDE, tuple(range(1, 22)), True)),
        (RankLimits(multiple=8), RankChoices(SQUARE, (8,), True), RankChoices(WIDE, (8, 16), True)),
        (
            RankLimits(multiple=5, smallest=6),
            RankChoices(SQUARE, (10, 15), True),
            RankChoices(WIDE, (10, 15, 20), True),
        ),
        (
            RankLimits(smallest=14, largest=17),
            RankChoices(SQUARE, (14, 15), False),
            RankChoices(WIDE, (14, 15, 16, 17), False),
        ),
        (RankLimits(multiple=8, largest=20), RankChoices(SQUARE, (8,), False), RankChoices(WIDE, (8, 16), False)),
        (RankLimits(smallest=16, largest=17), RankChoices(SQUARE, (), True), RankChoices(WIDE, (16, 17), False)),
        (RankLimits(multiple=8, smallest=17), RankChoices(SQUARE, (), True), RankChoices(WIDE, (), True)),
        (RankLimits(smallest=99), RankChoices(SQUARE, (), True), RankChoices(WIDE, (), True)),
        (
            RankLimits(largest=2, keep_dense=("*.query",)),
            RankChoices(SQUARE, (), True),
            RankChoices(WIDE, (1, 2), False),
        ),
        (RankLimits(keep_dense=("encoder.*", "*.query")), RankChoices(SQUARE, (), True), RankChoices(WIDE, (), True)),
        (
            RankLimits(multiple=10, keep_dense=(WIDE.name,)),
            RankChoices(SQUARE, (10,), True),
            RankChoices(WIDE, (), True),
        ),
    ],
)
def test_limits_leave_these_choices(limits: RankLimits, square: RankChoices, wide: RankChoices) -> None:
    assert choices_of(LAYERS, limits) == [square, wide]


@pytest.mark.parametrize("pattern", ["query", "*.Query", "encoder.layer.1.*", ""])
def test_a_pattern_that_matches_no_layer_is_refused(pattern: str) -> None:
    with pytest.raises(RankError, match=re.escape(f"keep-dense {pattern!r} matches no layer; names look like")) as why:
        choices_of(LAYERS, RankLimits(keep_dense=("*.query", pattern)))
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
    (choice,) = choices_of([layer], RankLimits(multiple, smallest, largest))
    for rank in choice.ranks:
        assert rank % multiple == 0
        assert smallest <= rank <= min(largest or rank, *sides)
        assert factor_weights(layer, rank) < layer.weights
    assert list(choice.ranks) == sorted(set(choice.ranks))
    assert choice.dense == (largest is None or not choice.ranks)
    costs = [factor_weights(layer, rank) for rank in choice.ranks] + [layer.weights] * choice.dense
    assert choice.least_weights == min(costs)


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [(Budget(ratio=0.29), 890), (Budget(ratio=1.0), 3072), (Budget(params=1500), 1000), (Budget(params=10), -490)],
)
def test_a_budget_leaves_linear_weights(budget: Budget, allowed: int) -> None:
    assert allowed_weights(LAYERS, budget, other_parameters=500) == allowed


def test_a_budget_below_the_smallest_choices_is_refused_with_one_that_is_enough() -> None:
    choices = choices_of(LAYERS, RankLimits(smallest=4, keep_dense=("*.query",)))
    smallest = 32 * 32 + 4 * 96
    check_affordable(choices, smallest, other_parameters=500)
    message = (
        "leaves 1,407 linear weights, less than the smallest ranks everywhere need (1,408); "
        "ask for a ratio of at least 0.4584, or 1,908 parameters"
    )
    with pytest.raises(RankError, match=re.escape(message)):
        check_affordable(choices, smallest - 1, other_parameters=500)
    check_affordable(choices, allowed_weights(LAYERS, Budget(ratio=0.4584), 500), other_parameters=500)
    with pytest.raises(RankError, match="leaves 0 linear weights"):
        check_affordable(choices, -3, other_parameters=500)
