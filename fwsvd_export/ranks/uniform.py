"""The same rank everywhere; a layer that would grow stays dense."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.cost import grows, planned_weights
from fwsvd_export.records import Budget, LayerSpec, RankPlan


def plan_uniform(layers: Sequence[LayerSpec], budget: Budget, other_parameters: int) -> RankPlan:
    """The given rank, or the largest common rank whose linear weights stay within the budget.

    Args:
        layers: the compressible layers.
        budget: what was asked for.
        other_parameters: parameters outside the compressible weights, which ``budget.params`` includes.

    Raises:
        RankError: a rank above the smaller side of a layer, or a budget that not even rank 1 meets.
    """
    if budget.rank is not None:
        for layer in layers:
            if budget.rank > layer.smaller_side:
                raise RankError(
                    f"rank {budget.rank} for {layer.name}: at most {layer.smaller_side} (its smaller side) is allowed; "
                    "lower --rank"
                )
        return RankPlan(_common_rank(layers, budget.rank), "uniform")
    allowed = allowed_weights(layers, budget, other_parameters)
    largest = max(layer.smaller_side for layer in layers)
    # The cost rises with the rank, so the largest rank that fits is found by bisection.
    fits, too_large = 0, largest + 1
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if planned_weights(layers, _common_rank(layers, middle)) <= allowed:
            fits = middle
        else:
            too_large = middle
    if fits == 0:
        smallest = planned_weights(layers, _common_rank(layers, 1))
        dense = sum(layer.weights for layer in layers)
        enough = -(-smallest * 10_000 // dense) / 10_000  # rounded up, so that asking for it succeeds
        raise RankError(
            f"the size asked for leaves {max(allowed, 0):,} linear weights, less than rank 1 everywhere needs "
            f"({smallest:,}); ask for a ratio of at least {enough:g}, or {other_parameters + smallest:,} parameters"
        )
    return RankPlan(_common_rank(layers, fits), "uniform")


def allowed_weights(layers: Sequence[LayerSpec], budget: Budget, other_parameters: int) -> int:
    """Linear weights that a ratio or a total parameter count leaves."""
    if budget.ratio is not None:
        exact = Fraction(str(budget.ratio))  # as a float, 0.29 of 100 weights would be 28
        return int(exact * sum(layer.weights for layer in layers))
    assert budget.params is not None, "a rank is no budget of weights"
    return budget.params - other_parameters


def _common_rank(layers: Sequence[LayerSpec], rank: int) -> dict[str, int | None]:
    return {layer.name: None if grows(layer, rank) else rank for layer in layers}
