"""One budget for the whole model: singular components of all layers compete by predicted loss per weight.

Each layer has choices of rising cost and falling loss: its ranks, and the dense weight, whose loss is zero; a
feed-forward part has the choices of both its layers, at several numbers of neurons. On the lower convex hull of these
points the fall per cost gets smaller and smaller, so taking the steepest step of any layer again and again is optimal
for every budget at which a step ends (Everett 1963, generalised Lagrange multipliers). What is left when the next step
does not fit is filled with the steepest smaller steps that do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor

from fwsvd_export.ranks.choices import allowed_weights, check_affordable, choices_of
from fwsvd_export.ranks.curves import Candidate, WidthChoices, curve_of_layer, curve_of_part, lower_hull, slope
from fwsvd_export.ranks.prices import Price
from fwsvd_export.records import Budget, LayerSpec, RankLimits, RankPlan

Curves = Mapping[str, Sequence[Candidate]]


def plan_greedy(
    layers: Sequence[LayerSpec],
    budget: Budget,
    other_parameters: int,
    limits: RankLimits,
    losses: Mapping[str, Tensor],
    price: Price | None = None,
    widths: Sequence[WidthChoices] = (),
) -> RankPlan:
    """The ranks that lower the predicted loss most within the budget of weights, which is never exceeded.

    Args:
        layers: the compressible layers.
        budget: a ratio or a number of parameters.
        other_parameters: parameters outside the compressible weights, which ``budget.params`` includes.
        limits: of every layer's rank.
        losses: layer name -> predicted loss at every rank (smaller side + 1), comparable across layers.
        price: (layer, rank or None for dense) -> what a choice costs in the competition; None for its weights.
        widths: feed-forward parts that may lose neurons, which is one more choice.

    Raises:
        RankError: a budget that not even the smallest ranks meet.
    """
    choices = choices_of(layers, limits)
    allowed = allowed_weights(layers, budget, other_parameters)
    check_affordable(choices, allowed, other_parameters)
    narrowing = {choice.part.intermediate.name: choice for choice in widths}
    inside = {layer.name for choice in widths for layer in choice.part.layers}
    curves: dict[str, list[Candidate]] = {}
    for choice in choices:
        name = choice.layer.name
        if name in narrowing:
            curves[name] = curve_of_part(narrowing[name], limits, losses, price, count_biases=budget.params is not None)
        elif name not in inside:
            curves[name] = curve_of_layer(choice, losses[name], price)
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
    return _plan(layers, [curve[taken[name]] for name, curve in curves.items()])


def _plan(layers: Sequence[LayerSpec], taken: Sequence[Candidate]) -> RankPlan:
    ranks = {name: rank for candidate in taken for name, rank in candidate.ranks.items()}
    widths = {name: width for candidate in taken for name, width in candidate.widths.items()}
    ordered = {layer.name: ranks[layer.name] for layer in layers}
    return RankPlan(ordered, "greedy", widths, sum(candidate.loss for candidate in taken))


def _steps(curves: Curves) -> list[tuple[str, int]]:
    """Every step along every layer's hull as (layer, place reached), steepest first."""
    steps = []
    for name, curve in curves.items():
        steps += [(slope(curve[low], curve[high]), name, high) for low, high in pairwise(lower_hull(curve))]
    return [(name, place) for _, name, place in sorted(steps, key=lambda step: -step[0])]


def _filler(curves: Curves, taken: Mapping[str, int], left: int) -> tuple[str, int] | None:
    """The steepest step to a next candidate that fits into what is left, None when none does."""
    steps = []
    for name, curve in curves.items():
        here, place = curve[taken[name]], taken[name] + 1
        if place < len(curve) and curve[place].weights - here.weights <= left:
            steps.append((slope(here, curve[place]), name, place))
    return max(steps, key=lambda step: step[0])[1:] if steps else None
