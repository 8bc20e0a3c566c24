"""The same rank everywhere; a layer that would grow stays dense."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import RankChoices, allowed_weights, check_affordable, choices_of
from fwsvd_export.ranks.cost import grows, planned_weights
from fwsvd_export.records import Budget, LayerSpec, RankLimits, RankPlan


def plan_uniform(
    layers: Sequence[LayerSpec], budget: Budget, other_parameters: int, limits: RankLimits | None = None
) -> RankPlan:
    """The given rank, or the largest common rank whose linear weights stay within the budget.

    A layer takes the largest of its allowed ranks that is not above the common one.

    Args:
        layers: the compressible layers.
        budget: what was asked for.
        other_parameters: parameters outside the compressible weights, which ``budget.params`` includes.
        limits: of every layer's rank.

    Raises:
        RankError: a rank above the smaller side of a layer, or a budget that not even the smallest ranks meet.
    """
    choices = choices_of(layers, limits or RankLimits())
    if budget.rank is not None:
        for layer in layers:
            if budget.rank > layer.smaller_side:
                raise RankError(
                    f"rank {budget.rank} for {layer.name}: at most {layer.smaller_side} (its smaller side) is allowed; "
                    "lower --rank"
                )
        return RankPlan(_common_rank(choices, budget.rank), "uniform")
    allowed = allowed_weights(layers, budget, other_parameters)
    check_affordable(choices, allowed, other_parameters)
    largest = max(layer.smaller_side for layer in layers)
    # The cost rises with the rank, so the largest rank that fits is found by bisection.
    fits, too_large = 0, largest + 1
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if planned_weights(layers, _common_rank(choices, middle)) <= allowed:
            fits = middle
        else:
            too_large = middle
    return RankPlan(_common_rank(choices, fits), "uniform")


def _common_rank(choices: Sequence[RankChoices], rank: int) -> dict[str, int | None]:
    return {choice.layer.name: _nearest(choice, rank) for choice in choices}


def _nearest(choice: RankChoices, rank: int) -> int | None:
    """The largest allowed rank up to the common one; dense where that would save nothing."""
    if not choice.ranks or (choice.dense and grows(choice.layer, rank)):
        return None
    return max((allowed for allowed in choice.ranks if allowed <= rank), default=choice.ranks[0])
