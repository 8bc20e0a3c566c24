from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import choices_of
from fwsvd_export.ranks.cost import grows, planned_weights
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import Budget, LayerSpec, RankLimits

SIDES = st.integers(1, 40)
SHAPES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5)
laws = settings(max_examples=150, deadline=None)


def layers_of(shapes: list[tuple[int, int]]) -> list[LayerSpec]:
    return [LayerSpec(f"layer.{index}", *shape, "output", f"input.{index}") for index, shape in enumerate(shapes)]


def cost_at(layers: list[LayerSpec], rank: int) -> int:
    """Weights when every layer that gains from it has this rank."""
    return sum(min(layer.weights, rank * (layer.out_features + layer.in_features)) for layer in layers)


def dense_weights(layers: list[LayerSpec]) -> int:
    return sum(layer.weights for layer in layers)


def common_rank(ranks: dict[str, int | None]) -> int | None:
    """The one rank of all layers that are not dense, None when all are."""
    different = {rank for rank in ranks.values() if rank is not None}
    assert len(different) <= 1
    return next(iter(different), None)


@laws
@given(
    shapes=SHAPES, allowed_share=st.floats(0.001, 1), as_params=st.booleans(), other_parameters=st.integers(1, 10_000)
)
def test_the_plan_is_the_largest_common_rank_within_the_budget(
    shapes: list[tuple[int, int]], allowed_share: float, as_params: bool, other_parameters: int
) -> None:
    layers = layers_of(shapes)
    allowed = int(Fraction(str(allowed_share)) * dense_weights(layers))
    budget = Budget(params=other_parameters + allowed) if as_params else Budget(ratio=allowed_share)
    if cost_at(layers, 1) > allowed:
        with pytest.raises(RankError, match=r"ask for a ratio of at least"):
            plan_uniform(layers, budget, other_parameters)
        return
    ranks = plan_uniform(layers, budget, other_parameters).ranks
    cost = planned_weights(layers, ranks)
    assert cost <= allowed
    rank = common_rank(ranks)
    if rank is None:
        assert cost == dense_weights(layers)
    else:
        assert cost == cost_at(layers, rank)
        assert cost_at(layers, rank + 1) > allowed


@laws
@given(shapes=SHAPES, rank=st.integers(1, 40))
def test_a_given_rank_is_used_wherever_it_saves_weights(shapes: list[tuple[int, int]], rank: int) -> None:
    layers = layers_of(shapes)
    too_small = [layer for layer in layers if layer.smaller_side < rank]
    if too_small:
        message = rf"rank {rank} for {re.escape(too_small[0].name)}: at most {too_small[0].smaller_side} "
        with pytest.raises(RankError, match=message):
            plan_uniform(layers, Budget(rank=rank), 0)
        return
    ranks = plan_uniform(layers, Budget(rank=rank), 0).ranks
    for layer in layers:
        saves = rank * (layer.out_features + layer.in_features) < layer.weights
        assert ranks[layer.name] == (rank if saves else None)


@laws
@given(shapes=SHAPES)
def test_ratio_one_keeps_everything_dense(shapes: list[tuple[int, int]]) -> None:
    assert set(plan_uniform(layers_of(shapes), Budget(ratio=1.0), 0).ranks.values()) == {None}


@laws
@given(shapes=SHAPES, other_parameters=st.integers(0, 10_000))
def test_a_budget_that_is_too_small_names_sizes_that_are_enough(
    shapes: list[tuple[int, int]], other_parameters: int
) -> None:
    layers = layers_of(shapes)
    with pytest.raises(RankError) as refused:
        plan_uniform(layers, Budget(ratio=1e-9), other_parameters)
    named = re.search(r"ratio of at least ([\d.e-]+), or ([\d,]+) parameters?", str(refused.value))
    assert named is not None
    ratio, params = float(named[1]), int(named[2].replace(",", ""))
    smallest = cost_at(layers, 1)
    for budget in (Budget(ratio=ratio), Budget(params=params)):
        assert planned_weights(layers, plan_uniform(layers, budget, other_parameters).ranks) >= smallest
    assert params == other_parameters + smallest
    assert ratio < smallest / dense_weights(layers) + 1e-4


def test_a_decimal_ratio_is_taken_exactly() -> None:
    assert int(0.29 * 100) == 28
    assert plan_uniform(layers_of([(4, 25)]), Budget(ratio=0.29), 0).ranks == {"layer.0": 1}


def test_parameters_outside_the_linear_layers_count_towards_params_only() -> None:
    layers = layers_of([(32, 32)])
    assert plan_uniform(layers, Budget(params=1000 + 5 * 64), 1000).ranks == {"layer.0": 5}
    assert plan_uniform(layers, Budget(ratio=5 * 64 / 1024), 1000).ranks == {"layer.0": 5}
    with pytest.raises(RankError, match=r"leaves 0 linear weights.*or 1,064 parameters"):
        plan_uniform(layers, Budget(params=500), 1000)


def test_the_plan_says_how_it_was_made() -> None:
    assert plan_uniform(layers_of([(32, 64), (32, 32)]), Budget(ratio=0.5), 0).allocate == "uniform"


LIMITS = st.builds(
    RankLimits,
    multiple=st.integers(1, 6),
    smallest=st.integers(1, 6),
    largest=st.none() | st.integers(6, 40),
    keep_dense=st.sampled_from([(), ("layer.0",)]),
)


@laws
@given(shapes=SHAPES, rank=st.integers(1, 40), limits=LIMITS)
def test_a_given_rank_becomes_the_largest_allowed_one_below_it_where_it_saves_weights(
    shapes: list[tuple[int, int]], rank: int, limits: RankLimits
) -> None:
    layers = layers_of(shapes)
    rank = min(rank, *(layer.smaller_side for layer in layers))
    ranks = plan_uniform(layers, Budget(rank=rank), 0, limits).ranks
    for choice in choices_of(layers, limits):
        found = ranks[choice.layer.name]
        if not choice.ranks or (limits.largest is None and grows(choice.layer, rank)):
            assert found is None
        else:
            assert found == max((one for one in choice.ranks if one <= rank), default=min(choice.ranks))


@laws
@given(shapes=SHAPES, share=st.floats(0.001, 1), limits=LIMITS)
def test_limits_and_budget_are_both_kept(shapes: list[tuple[int, int]], share: float, limits: RankLimits) -> None:
    layers = layers_of(shapes)
    choices = choices_of(layers, limits)
    if sum(choice.least_weights for choice in choices) > int(Fraction(str(share)) * dense_weights(layers)):
        with pytest.raises(RankError, match="ask for a ratio of at least"):
            plan_uniform(layers, Budget(ratio=share), 0, limits)
        return
    ranks = plan_uniform(layers, Budget(ratio=share), 0, limits).ranks
    assert planned_weights(layers, ranks) <= share * dense_weights(layers)
    for choice in choices:
        assert ranks[choice.layer.name] in (*choice.ranks, *([None] if choice.dense else []))
