"""Choices of a feed-forward part: ranks of both layers and numbers of neurons, in one competition."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.ranks.cost import planned_weights
from fwsvd_export.ranks.curves import NarrowLosses, WidthChoices, curve_of_part, lower_hull, slope
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.prices import Price
from fwsvd_export.records import Budget, FeedForward, LayerSpec, RankLimits

NEURONS, HIDDEN = 24, 8
PART = FeedForward(
    LayerSpec("inner", NEURONS, HIDDEN, "intermediate", "states"),
    LayerSpec("outer", HIDDEN, NEURONS, "output", "inner"),
)
OTHER = LayerSpec("query", HIDDEN, HIDDEN, "query", "states")
LAYERS = (OTHER, *PART.layers)


@st.composite
def falling(draw: st.DrawFn, ranks: int) -> Tensor:
    falls = draw(st.lists(st.integers(0, 100), min_size=ranks, max_size=ranks))
    return torch.tensor(list(accumulate([0, *sorted(falls)]))[::-1], dtype=torch.float64)


@st.composite
def parts(draw: st.DrawFn) -> tuple[WidthChoices, dict[str, Tensor]]:
    losses = {layer.name: draw(falling(HIDDEN)) for layer in LAYERS}
    narrow = {}
    for width in sorted(draw(st.sets(st.integers(2, NEURONS - 1), max_size=3)), reverse=True):
        removal, ranks = draw(st.integers(0, 200)), min(width, HIDDEN)
        narrow[width] = NarrowLosses(draw(falling(ranks)), draw(falling(ranks)) + removal)
    return WidthChoices(PART, narrow), losses


def lost(
    choice: WidthChoices, losses: dict[str, Tensor], ranks: dict[str, int | None], widths: dict[str, int]
) -> float:
    """The predicted loss of a plan, from the curves."""
    curves = dict(losses)
    if "inner" in widths:
        narrow = choice.losses[widths["inner"]]
        curves |= {"inner": narrow.intermediate, "outer": narrow.output}
    return sum(0.0 if rank is None else float(curves[name][rank]) for name, rank in ranks.items())


@given(case=parts(), ratio=st.integers(30, 100))
def test_a_plan_with_widths_keeps_to_the_budget_and_says_its_loss(
    case: tuple[WidthChoices, dict[str, Tensor]], ratio: int
) -> None:
    choice, losses = case
    plan = plan_greedy(LAYERS, Budget(ratio=ratio / 100), 0, RankLimits(), losses, widths=[choice])
    assert list(plan.ranks) == [layer.name for layer in LAYERS]
    assert planned_weights(LAYERS, plan.ranks, plan.widths) <= ratio / 100 * sum(layer.weights for layer in LAYERS)
    assert set(plan.widths) in (set(), {"inner", "outer"})
    assert len(set(plan.widths.values())) <= 1
    for layer in PART.layers:
        if plan.widths:
            rank, kept = plan.ranks[layer.name], layer.narrowed(plan.widths[layer.name])
            assert rank is not None
            assert rank <= kept.smaller_side
            assert NEURONS > plan.widths[layer.name] in (kept.in_features, kept.out_features)
    assert plan.loss == pytest.approx(lost(choice, losses, plan.ranks, plan.widths))


@given(case=parts(), price=st.sampled_from([None, lambda layer, rank: float(layer.out_features + (rank or 9))]))
def test_choices_rise_in_price_and_fall_in_loss(
    case: tuple[WidthChoices, dict[str, Tensor]], price: Price | None
) -> None:
    choice, losses = case
    curve = curve_of_part(choice, RankLimits(), losses, price)
    assert all(low.price < high.price and low.loss >= high.loss for low, high in pairwise(curve))
    assert all(low.loss > high.loss for low, high in pairwise(curve[:-1]))
    assert curve[-1].loss == 0, "the dense part is among them"
    slopes = [slope(curve[low], curve[high]) for low, high in pairwise(lower_hull(curve))]
    assert all(steep > flat for steep, flat in pairwise(slopes))


def test_neurons_that_cost_nothing_go_for_ranks() -> None:
    """Half of the neurons are of no use: without them the same budget pays for higher ranks, and less is lost."""
    line = torch.arange(HIDDEN, -1, -1, dtype=torch.float64)
    losses = {layer.name: line for layer in LAYERS}
    choice = WidthChoices(PART, {NEURONS // 2: NarrowLosses(line, line)})
    keep, auto = (plan_greedy(LAYERS, Budget(ratio=0.5), 0, RankLimits(), losses, widths=w) for w in ([], [choice]))
    assert keep.widths == {}
    assert auto.widths == {"inner": NEURONS // 2, "outer": NEURONS // 2}
    assert keep.loss is not None
    assert auto.loss is not None
    assert auto.loss < keep.loss


def test_layers_that_stay_dense_keep_their_neurons() -> None:
    line = torch.arange(HIDDEN, -1, -1, dtype=torch.float64)
    losses = {layer.name: line for layer in LAYERS}
    choice = WidthChoices(PART, {NEURONS // 2: NarrowLosses(line, line)})
    limits = RankLimits(keep_dense=("outer",))
    plan = plan_greedy(LAYERS, Budget(ratio=0.7), 0, limits, losses, widths=[choice])
    assert plan.widths == {}
    assert plan.ranks["outer"] is None
