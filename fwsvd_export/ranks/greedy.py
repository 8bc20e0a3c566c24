"""One budget for the whole model: singular components of all layers compete by predicted loss per weight.

Each layer has choices of rising cost and falling loss: its ranks, and the dense weight, whose loss is zero. On the
lower convex hull of these points the fall per cost gets smaller and smaller, so taking the steepest step of any layer
again and again is optimal for every budget at which a step ends (Everett 1963, generalised Lagrange multipliers). What
is left when the next step does not fit is filled with the steepest smaller steps that do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from fwsvd_export.ranks.choices import RankChoices, allowed_weights, check_affordable, choices_of
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.ranks.prices import Price
from fwsvd_export.records import Budget, LayerSpec, RankLimits, RankPlan


def plan_greedy(
    layers: Sequence[LayerSpec],
    budget: Budget,
    other_parameters: int,
    limits: RankLimits,
    losses: Mapping[str, Tensor],
    price: Price | None = None,
) -> RankPlan:
    """The ranks that lower the predicted loss most within the budget of weights, which is never exceeded.

    Args:
        layers: the compressible layers.
        budget: a ratio or a number of parameters.
        other_parameters: parameters outside the compressible weights, which ``budget.params`` includes.
        limits: of every layer's rank.
        losses: layer name -> predicted loss at every rank (smaller side + 1), comparable across layers.
        price: (layer, rank or None for dense) -> what a choice costs in the competition; None for its weights.

    Raises:
        RankError: a budget that not even the smallest ranks meet.
    """
    choices = choices_of(layers, limits)
    allowed = allowed_weights(layers, budget, other_parameters)
    check_affordable(choices, allowed, other_parameters)
    curves = {choice.layer.name: _cost_curve(choice, losses[choice.layer.name], price) for choice in choices}
    taken = dict.fromkeys(curves, 0)
    left = allowed - sum(curve[0].weights for curve in curves.values())
    for name, place in _steps(curves):
        extra = curves[name][place].weights - curves[name][taken[name]].weights
        if extra > left:
            break
        taken[name], left = place, left - extra
    while (filler := _filler(curves, taken, left)) is not None:
        name, place = filler
        left -= curves[name][place].weights - curves[name][taken[name]].weights
        taken[name] = place
    return RankPlan({name: curve[taken[name]].rank for name, curve in curves.items()}, "greedy")


LEAST_RISE = 1 + 1e-6  # of the price from one choice to the next, so that every step has a slope


@dataclass(frozen=True)
class _Candidate:
    """One choice of a layer: its rank (None for dense), parameters, price in the competition, predicted loss."""

    rank: int | None
    weights: int
    price: float
    loss: float


def _cost_curve(choice: RankChoices, losses: Tensor, price: Price | None) -> list[_Candidate]:
    """The choices, rising in weights; a price that does not rise with them (a dense layer may be fast) is lifted."""
    layer, curve = choice.layer, losses.tolist()
    weights: dict[int | None, int] = {rank: factor_weights(layer, rank) for rank in choice.ranks}
    if choice.dense:
        weights[None] = layer.weights
    candidates: list[_Candidate] = []
    for rank, cost in weights.items():
        asked = cost if price is None else price(layer, rank)
        if candidates:
            asked = max(asked, candidates[-1].price * LEAST_RISE)
        candidates.append(_Candidate(rank, cost, asked, 0.0 if rank is None else curve[rank]))
    return candidates


def _steps(curves: Mapping[str, Sequence[_Candidate]]) -> list[tuple[str, int]]:
    """Every step along every layer's hull as (layer, place reached), steepest first."""
    steps = []
    for name, curve in curves.items():
        hull = _lower_hull(curve)
        steps += [(_slope(curve[low], curve[high]), name, high) for low, high in pairwise(hull)]
    return [(name, place) for _, name, place in sorted(steps, key=lambda step: -step[0])]


def _lower_hull(curve: Sequence[_Candidate]) -> list[int]:
    """Places of the candidates on the lower convex hull of (price, loss)."""
    hull: list[int] = []
    for place, candidate in enumerate(curve):
        while len(hull) > 1 and _slope(curve[hull[-2]], curve[hull[-1]]) <= _slope(curve[hull[-1]], candidate):
            hull.pop()
        hull.append(place)
    return hull


def _slope(low: _Candidate, high: _Candidate) -> float:
    return (low.loss - high.loss) / (high.price - low.price)


def _filler(curves: Mapping[str, Sequence[_Candidate]], taken: Mapping[str, int], left: int) -> tuple[str, int] | None:
    """The steepest step to a next candidate that fits into what is left, None when none does."""
    steps = []
    for name, curve in curves.items():
        here, place = curve[taken[name]], taken[name] + 1
        if place < len(curve) and curve[place].weights - here.weights <= left:
            steps.append((_slope(here, curve[place]), name, place))
    return max(steps, key=lambda step: step[0])[1:] if steps else None
