"""Choices of rising price and falling loss: of one layer, or of a feed-forward part that may lose neurons too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from torch import Tensor

from fwsvd_export.ranks.choices import RankChoices, choice_of
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.ranks.prices import Price
from fwsvd_export.records import FeedForward, RankLimits

LEAST_RISE = 1 + 1e-6  # of the price from one choice to the next, so that every step has a slope


@dataclass(frozen=True)
class Candidate:
    """One choice.

    Attributes:
        ranks: layer name -> rank, None for dense.
        weights: of the layers.
        price: in the competition.
        loss: predicted.
        widths: layer name -> neurons that are left; empty where all are.
    """

    ranks: Mapping[str, int | None]
    weights: int
    price: float
    loss: float
    widths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NarrowLosses:
    """What a feed-forward part is predicted to lose with fewer neurons.

    Attributes:
        intermediate: of the layer's rows that are left, at every rank (smaller side + 1).
        output: of the refitted readout, at every rank; what the removal itself costs is in it.
    """

    intermediate: Tensor
    output: Tensor


@dataclass(frozen=True)
class WidthChoices:
    """A feed-forward part and the numbers of neurons that it may keep.

    Attributes:
        part: whose.
        losses: neurons -> what is lost with so many.
        biased: whether every neuron has a bias, which goes with it.
    """

    part: FeedForward
    losses: Mapping[int, NarrowLosses]
    biased: bool = False


def curve_of_layer(choice: RankChoices, losses: Tensor, price: Price | None) -> list[Candidate]:
    """The choices, rising in weights; a price that does not rise with them (a dense layer may be fast) is lifted."""
    layer, curve = choice.layer, losses.tolist()
    weights: dict[int | None, int] = {rank: factor_weights(layer, rank) for rank in choice.ranks}
    if choice.dense:
        weights[None] = layer.weights
    candidates: list[Candidate] = []
    for rank, cost in weights.items():
        asked = cost if price is None else price(layer, rank)
        if candidates:
            asked = max(asked, candidates[-1].price * LEAST_RISE)
        candidates.append(Candidate({layer.name: rank}, cost, asked, 0.0 if rank is None else curve[rank]))
    return candidates


def curve_of_part(
    choice: WidthChoices,
    limits: RankLimits,
    losses: Mapping[str, Tensor],
    price: Price | None,
    *,
    count_biases: bool = False,
) -> list[Candidate]:
    """The choices of both layers of a feed-forward part together, of all its widths, rising in price.

    At one width the two layers compete as any two do; of all widths those choices are kept that no cheaper one equals,
    and the largest with all neurons in any case: a part that is predicted to lose nothing may stay as it is.

    Args:
        choice: the part, and losses of its narrower widths.
        limits: of the ranks; layers that are to stay dense keep their neurons.
        losses: layer name -> predicted loss at every rank with all neurons.
        price: of a choice, None for its weights.
        count_biases: whether biases that go make room in the budget, which is one of all parameters.
    """
    part = choice.part
    first, second = (
        curve_of_layer(one, losses[one.layer.name], price)
        for one in (choice_of(layer, limits) for layer in part.layers)
    )
    found = _merged(first, second, {})
    largest = found[-1]
    for width, narrow in choice.losses.items():
        layers = part.narrowed(width).layers
        both = [choice_of(layer, limits) for layer in layers]
        if not all(one.ranks for one in both):
            continue
        first, second = (
            curve_of_layer(RankChoices(one.layer, one.ranks, dense=False), curve, price)
            for one, curve in zip(both, (narrow.intermediate, narrow.output), strict=True)
        )
        merged = _merged(first, second, {layer.name: width for layer in layers})
        room = part.neurons - width if choice.biased and count_biases else 0
        found += [replace(candidate, weights=candidate.weights - room) for candidate in merged]
    kept = _undominated(found)
    return kept if largest.price < kept[-1].price * LEAST_RISE else [*kept, largest]


def lower_hull(curve: Sequence[Candidate]) -> list[int]:
    """Places of the candidates on the lower convex hull of (price, loss)."""
    hull: list[int] = []
    for place, candidate in enumerate(curve):
        while len(hull) > 1 and slope(curve[hull[-2]], curve[hull[-1]]) <= slope(curve[hull[-1]], candidate):
            hull.pop()
        hull.append(place)
    return hull


def slope(low: Candidate, high: Candidate) -> float:
    """How fast the loss falls from one choice to a dearer one."""
    return (low.loss - high.loss) / (high.price - low.price)


def _merged(first: list[Candidate], second: list[Candidate], widths: Mapping[str, int]) -> list[Candidate]:
    """Choices of two layers as choices of both: the steepest steps of either one after the other."""
    places = [lower_hull(first), lower_hull(second)]
    steps = [
        (slope(curve[low], curve[high]), which, high)
        for which, (curve, hull) in enumerate(zip((first, second), places, strict=True))
        for low, high in pairwise(hull)
    ]
    taken = [first[0], second[0]]
    found = [_joined(taken, widths)]
    for _, which, place in sorted(steps, key=lambda step: -step[0]):
        taken[which] = (first, second)[which][place]
        found.append(_joined(taken, widths))
    return found


def _joined(parts: Iterable[Candidate], widths: Mapping[str, int]) -> Candidate:
    one, other = parts
    return Candidate(
        {**one.ranks, **other.ranks},
        one.weights + other.weights,
        one.price + other.price,
        one.loss + other.loss,
        widths,
    )


def _undominated(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that lose less than everything that costs as much or less, rising in price."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (one.price, one.loss)):
        if not kept or (candidate.loss < kept[-1].loss and candidate.price >= kept[-1].price * LEAST_RISE):
            kept.append(candidate)
    return kept
