"""Laws of the plan that shares one budget among all layers by their predicted losses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import RankChoices, choices_of
from fwsvd_export.ranks.cost import factor_weights, planned_weights
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import Budget, LayerSpec, RankLimits

NOTHING = RankLimits()
Ranks = dict[str, int | None]


@dataclass(frozen=True)
class Case:
    """Layers with a falling convex loss curve each."""

    layers: tuple[LayerSpec, ...]
    losses: dict[str, Tensor]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    def plan(self, allowed: int, limits: RankLimits = NOTHING) -> Ranks:
        return plan_greedy(self.layers, Budget(params=allowed), 0, limits, self.losses).ranks

    def least(self, limits: RankLimits = NOTHING) -> int:
        return sum(choice.least_weights for choice in choices_of(self.layers, limits))

    def loss(self, ranks: Ranks) -> float:
        return sum(0.0 if rank is None else float(self.losses[name][rank]) for name, rank in ranks.items())


@st.composite
def cases(draw: st.DrawFn, most_layers: int, longest_side: int) -> Case:
    shapes = draw(st.lists(st.tuples(*[st.integers(2, longest_side)] * 2), min_size=1, max_size=most_layers))
    layers = tuple(LayerSpec(f"layer.{n}", *shape, "output", f"input.{n}") for n, shape in enumerate(shapes))
    losses = {}
    for layer in layers:
        falls = draw(st.lists(st.integers(0, 1000), min_size=layer.smaller_side, max_size=layer.smaller_side))
        curve = list(accumulate([0, *sorted(falls)]))[::-1]
        losses[layer.name] = torch.tensor(curve, dtype=torch.float64) * 10.0 ** draw(st.integers(-3, 3))
    return Case(layers, losses)


def points(case: Case, choice: RankChoices) -> list[tuple[int, float, int | None]]:
    """(weights, loss, rank) of every choice, cheapest first."""
    curve = case.losses[choice.layer.name].tolist()
    ranked = [(factor_weights(choice.layer, rank), curve[rank], rank) for rank in choice.ranks]
    return [*ranked, *([(choice.layer.weights, 0.0, None)] if choice.dense else [])]


def best_by_trying_everything(case: Case, allowed: int, limits: RankLimits) -> float:
    choices = [points(case, choice) for choice in choices_of(case.layers, limits)]
    affordable = (chosen for chosen in product(*choices) if sum(weights for weights, *_ in chosen) <= allowed)
    return min(sum(loss for _, loss, _ in chosen) for chosen in affordable)


@dataclass(frozen=True)
class Step:
    """From a corner of a layer's lower convex hull to the next."""

    slope: float
    weights: int
    fall: float


def steps_of(case: Case, limits: RankLimits = NOTHING) -> list[Step]:
    """Of all layers, steepest first: from each corner on to the point of the steepest fall."""
    steps = []
    for choice in choices_of(case.layers, limits):
        choices = points(case, choice)
        weights, loss, _ = choices[0]
        while later := [point for point in choices if point[0] > weights]:
            slope, more, less = max(((loss - less) / (more - weights), more, less) for more, less, _ in later)
            steps.append(Step(slope, more - weights, loss - less))
            weights, loss = more, less
    return sorted(steps, key=lambda step: -step.slope)


def largest_fall(case: Case, limits: RankLimits = NOTHING) -> float:
    return max((step.fall for step in steps_of(case, limits)), default=0.0)


def budget_after(case: Case, taken: int, limits: RankLimits = NOTHING) -> int:
    """Exactly what the steepest steps need."""
    return case.least(limits) + sum(step.weights for step in steps_of(case, limits)[:taken])


LIMITS = st.builds(
    RankLimits,
    multiple=st.integers(1, 4),
    smallest=st.integers(1, 4),
    largest=st.none() | st.integers(4, 30),
    keep_dense=st.sampled_from([(), ("layer.0",)]),
)
SHARE = st.floats(0, 1)  # of the way from the smallest plan to the dense model
MANY, TINY = cases(most_layers=6, longest_side=30), cases(most_layers=3, longest_side=7)
laws = settings(max_examples=100)


def budget_at(case: Case, share: float, limits: RankLimits = NOTHING) -> int:
    return case.least(limits) + int(share * (case.weights - case.least(limits)))


@laws
@given(case=MANY, share=SHARE, limits=LIMITS)
def test_the_budget_and_the_limits_are_kept_and_nothing_more_fits(case: Case, share: float, limits: RankLimits) -> None:
    allowed = budget_at(case, share, limits)
    ranks = case.plan(allowed, limits)
    left = allowed - planned_weights(case.layers, ranks)
    assert left >= 0
    for choice in choices_of(case.layers, limits):
        choices = points(case, choice)
        place = [rank for *_, rank in choices].index(ranks[choice.layer.name])
        assert all(weights - choices[place][0] > left for weights, *_ in choices[place + 1 :])


@laws
@given(case=MANY, limits=LIMITS)
def test_the_smallest_budget_gives_the_smallest_choices_and_less_is_refused(case: Case, limits: RankLimits) -> None:
    ranks = case.plan(case.least(limits), limits)
    assert planned_weights(case.layers, ranks) == case.least(limits)
    with pytest.raises(RankError, match="less than the smallest ranks everywhere need"):
        case.plan(case.least(limits) - 1, limits)


@laws
@given(case=MANY)
def test_ratio_one_keeps_everything_dense(case: Case) -> None:
    plan = plan_greedy(case.layers, Budget(ratio=1.0), 0, NOTHING, case.losses)
    assert set(plan.ranks.values()) == {None}
    assert plan.allocate == "greedy"


@laws
@given(case=TINY, share=SHARE, limits=LIMITS)
def test_no_plan_is_better_by_more_than_the_largest_single_step(case: Case, share: float, limits: RankLimits) -> None:
    allowed = budget_at(case, share, limits)
    found, best = case.loss(case.plan(allowed, limits)), best_by_trying_everything(case, allowed, limits)
    assert best <= found * (1 + 1e-9)
    assert found <= best + largest_fall(case, limits) + 1e-9 * found


@laws
@given(case=TINY, limits=LIMITS, taken=st.integers(0, 20))
def test_no_plan_is_better_where_a_step_of_a_hull_ends_at_the_budget(
    case: Case, limits: RankLimits, taken: int
) -> None:
    slopes = [step.slope for step in steps_of(case, limits)]
    assume(len(set(slopes)) == len(slopes))  # among equals any may be taken first
    allowed = budget_after(case, taken, limits)
    found = case.loss(case.plan(allowed, limits))
    assert found == pytest.approx(best_by_trying_everything(case, allowed, limits), rel=1e-9, abs=1e-12)


@laws
@given(case=MANY, share=SHARE)
def test_the_same_rank_everywhere_is_better_by_no_more_than_one_step(case: Case, share: float) -> None:
    allowed, largest = budget_at(case, share), largest_fall(case)
    uniform = case.loss(plan_uniform(case.layers, Budget(params=allowed), 0).ranks)
    assert case.loss(case.plan(allowed)) <= (uniform + largest) * (1 + 1e-9)


@laws
@given(case=MANY, taken=st.integers(0, 120))
def test_the_same_rank_everywhere_is_never_better_where_a_step_ends(case: Case, taken: int) -> None:
    allowed = budget_after(case, taken)
    uniform = case.loss(plan_uniform(case.layers, Budget(params=allowed), 0).ranks)
    assert case.loss(case.plan(allowed)) <= uniform * (1 + 1e-9)


@laws
@given(case=MANY, taken=st.tuples(*[st.integers(0, 120)] * 2))
def test_a_larger_budget_predicts_no_larger_loss_where_steps_end(case: Case, taken: tuple[int, int]) -> None:
    smaller, larger = (case.loss(case.plan(budget_after(case, number))) for number in sorted(taken))
    assert larger <= smaller * (1 + 1e-9)


@laws
@given(case=MANY, share=SHARE, exponent=st.integers(-40, 40))
def test_the_unit_of_the_losses_does_not_matter(case: Case, share: float, exponent: int) -> None:
    scaled = Case(case.layers, {name: curve * 2.0**exponent for name, curve in case.losses.items()})
    assert scaled.plan(budget_at(case, share)) == case.plan(budget_at(case, share))


def square(name: str, *falls: float) -> tuple[LayerSpec, Tensor]:
    """A layer of side 8 (factors of rank 4 would grow) whose rank r leaves the sum of falls[r:]."""
    curve = torch.tensor([sum(falls[rank:]) for rank in range(9)], dtype=torch.float64)
    return LayerSpec(name, 8, 8, "output", name), curve


@pytest.fixture
def two() -> Case:
    """Rank 1 of both needs 32 weights; every further rank costs 16, dense instead of rank 3 too."""
    return case_of(square("steep", 9.0, 8.0, 7.0, 0.5), square("flat", 9.0, 2.0, 1.0, 0.1))


@pytest.mark.parametrize(
    ("allowed", "steep", "flat"),
    [(32, 1, 1), (47, 1, 1), (48, 2, 1), (64, 3, 1), (80, 3, 2), (96, 3, 3), (112, None, 3), (128, None, None)],
)
def test_ranks_go_where_the_loss_falls_most(allowed: int, steep: int | None, flat: int | None, two: Case) -> None:
    assert two.plan(allowed) == {"steep": steep, "flat": flat}


def case_of(*made: tuple[LayerSpec, Tensor]) -> Case:
    return Case(tuple(layer for layer, _ in made), {layer.name: curve for layer, curve in made})


@pytest.mark.parametrize(("extra", "weak", "strong"), [(15, 1, 1), (16, 1, 2), (32, 1, 3), (39, 1, 3)])
def test_weights_too_few_for_the_steepest_step_go_to_the_steepest_that_fits(extra: int, weak: int, strong: int) -> None:
    large = LayerSpec("large", 20, 20, "output", "x")  # 40 weights a rank
    falling = torch.tensor([1000.0 * (20 - rank) for rank in range(21)], dtype=torch.float64)
    case = case_of((large, falling), square("weak", 9.0, 0.5, 0.25), square("strong", 9.0, 2.0, 1.0))
    assert case.plan(40 + 16 + 16 + extra) == {"large": 1, "weak": weak, "strong": strong}


def test_a_steep_end_counts_with_the_flat_way_to_it() -> None:
    jump, steady = square("jump", *[10.0] * 8), square("steady", 40.0, 30.0, 30.0, 30.0)
    # to dense: jump falls by 70 over 48 weights (50 over the last 16), steady by 90 (30 over each 16)
    assert case_of(jump, steady).plan(16 + 16 + 48) == {"jump": 1, "steady": None}


def test_a_price_decides_who_wins_but_not_what_the_budget_allows(two: Case) -> None:
    def steep_is_dear(layer: LayerSpec, rank: int | None) -> float:
        return (100 if layer.name == "steep" else 1) * (9 if rank is None else rank)

    plans = [
        plan_greedy(two.layers, Budget(params=564), 500, NOTHING, two.losses, price) for price in (None, steep_is_dear)
    ]
    assert [plan.ranks for plan in plans] == [{"steep": 3, "flat": 1}, {"steep": 1, "flat": 3}]
    assert [planned_weights(two.layers, plan.ranks) for plan in plans] == [64, 64]


@laws
@given(case=MANY, share=SHARE, limits=LIMITS, factors=st.lists(st.floats(0.1, 10), min_size=6, max_size=6))
def test_no_price_exceeds_the_budget(case: Case, share: float, limits: RankLimits, factors: list[float]) -> None:
    prices = dict(zip([layer.name for layer in case.layers], factors, strict=False))

    def price(layer: LayerSpec, rank: int | None) -> float:
        return prices[layer.name] * (layer.smaller_side + 1 if rank is None else rank)

    allowed = budget_at(case, share, limits)
    plan = plan_greedy(case.layers, Budget(params=allowed), 0, limits, case.losses, price)
    assert planned_weights(case.layers, plan.ranks) <= allowed
