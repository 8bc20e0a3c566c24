"""What sizes are predicted to cost, before any of them is made: the loss of every size on one curve, and its bend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fwsvd_export.architectures.counts import removed_biases
from fwsvd_export.compression.collapse import Guessing, guessing_of
from fwsvd_export.compression.prepare import Prepared
from fwsvd_export.compression.size import parameters_beside
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.ranks.cost import planned_weights
from fwsvd_export.records import Budget, Kronecker

RATIOS = (0.75, 0.5, 0.37, 0.25, 0.15, 0.1, 0.05, 0.02)  # that are shown beside the size asked for
_CURVE = 40  # points on which the bend is looked for


@dataclass(frozen=True)
class ForecastSize:
    """One size.

    Attributes:
        ratio: of the linear weights that are kept.
        parameters: of the whole model.
        loss: predicted losses of all layers together, in the unit of the method, for one example.
        asked: whether it is the size that was asked for.
    """

    ratio: float
    parameters: int
    loss: float
    asked: bool = False


@dataclass(frozen=True)
class Forecast:
    """Sizes from the largest to the smallest.

    Attributes:
        sizes: that can be met.
        bend: the ratio at which the curve of losses is farthest below the line between its ends (Satopää et al. 2011):
            below it a weight less costs more than it did on average.
        guessing: what a model costs that says the same of every text, in the same unit; None where that is not known.
    """

    sizes: tuple[ForecastSize, ...]
    bend: float
    guessing: Guessing | None

    def of_guessing(self, size: ForecastSize) -> float | None:
        """The predicted loss as a share of that of guessing."""
        return None if self.guessing is None else self.guessing.decisions * size.loss / self.guessing.loss


def forecast(prepared: Prepared) -> Forecast:
    """What the size asked for and others are predicted to cost, without reconstruction, which makes up for a part.

    Args:
        prepared: with every layer decomposed.

    Raises:
        RankError: the size asked for cannot be met.
    """
    inputs = prepared.inputs
    asked = _size(prepared, inputs.size.budget, asked=True)
    least = smallest_ratio(inputs.encoder.layers, inputs.size.limits)
    others = [_size(prepared, Budget(ratio=ratio)) for ratio in RATIOS if ratio >= least]
    others = [size for size in others if abs(size.ratio - asked.ratio) > 0.005 * asked.ratio]
    sizes = sorted([asked, *others], key=lambda size: -size.parameters)
    guessing = guessing_of(inputs) if inputs.solver.norm is Kronecker else None
    return Forecast(tuple(sizes), _bend(prepared, least), guessing)


def _size(prepared: Prepared, budget: Budget, asked: bool = False) -> ForecastSize:
    plan = prepared.plan(budget)
    encoder = prepared.inputs.encoder
    dense = sum(layer.weights for layer in encoder.layers)
    kept = planned_weights(encoder.layers, plan.ranks, plan.widths)
    curves, loss = prepared.decompositions, plan.loss
    if loss is None:
        loss = sum(float(curves[name].losses[rank]) for name, rank in plan.ranks.items() if rank is not None)
    beside = parameters_beside(encoder, prepared.inputs.size) - removed_biases(encoder, plan.widths)
    return ForecastSize(kept / dense, beside + kept, loss, asked)


def _bend(prepared: Prepared, least: float) -> float:
    ratios = [least + (1 - least) * point / _CURVE for point in range(1, _CURVE + 1)]
    losses = [_size(prepared, Budget(ratio=round(ratio, 6))).loss for ratio in ratios]
    return ratios[farthest_below(ratios, losses)]


def farthest_below(across: Sequence[float], falling: Sequence[float]) -> int:
    """The place at which a falling convex curve is farthest below the line between its ends."""
    width, height = across[-1] - across[0], (falling[0] - falling[-1]) or 1.0
    below = [1 - (x - across[0]) / width - (y - falling[-1]) / height for x, y in zip(across, falling, strict=True)]
    return below.index(max(below))
