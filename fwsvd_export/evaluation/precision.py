"""Which layers stay in float so that an int8 model meets an accuracy target: as few as possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.target import Target

Compare = Callable[[tuple[str, ...]], tuple[float, Difference]]
"""The units that stay in float -> the metric, and the difference from the float model's."""


@dataclass(frozen=True)
class MixedTrial:
    """One mixture that was tried.

    Attributes:
        kept_float: how many units stayed in float.
        value: the metric.
        difference: from the float model's, bounded as ``Target.bounded`` does it.
        kept: whether the accuracy target was met.
    """

    kept_float: int
    value: float
    difference: Difference
    kept: bool


@dataclass(frozen=True)
class Mixed:
    """The outcome of the search.

    Attributes:
        kept_float: the units that stay in float, in order; empty when the target cannot be met.
        trials: in the order they were made.
        kept: whether the target is met with at least one unit quantised.
    """

    kept_float: tuple[str, ...]
    trials: tuple[MixedTrial, ...]
    kept: bool


def in_order_of_worth(sensitivities: Mapping[str, float], weights: Mapping[str, int]) -> list[str]:
    """Units from the one that is worth most in float to the one that is worth least.

    Errors of many units add up like variances, so a unit's worth is the square of its sensitivity, per weight that
    stays four times as large: an embedding table may be sensitive and still be the last to stay in float.

    Args:
        sensitivities: unit -> how far the predictions move when only it is quantised.
        weights: unit -> how many weights it has.
    """
    return sorted(sensitivities, key=lambda unit: -(sensitivities[unit] ** 2) / weights[unit])


def fewest_in_float(order: Sequence[str], compare: Compare, target: Target) -> Mixed:
    """Bisects how many units stay in float, taken in order.

    The metric is taken to rise with that number, as it does but for noise: the answer meets the target, and with one
    unit less in float a model was tried that does not.

    Args:
        order: all units, the one that shall stay in float before all others first.
        compare: how far a model with these units in float is from the float one; of metrics larger ones are better.
        target: what it must meet; all units quantised are known to miss it.
    """
    trials = []

    def kept_with(count: int) -> bool:
        value, difference = compare(tuple(order[:count]))
        difference = target.bounded(difference)
        trials.append(MixedTrial(count, value, difference, target.met(difference)))
        return trials[-1].kept

    low, high = 0, len(order) - 1  # all in float is no quantised model
    if high < 1 or not kept_with(high):
        return Mixed((), tuple(trials), kept=False)
    while high - low > 1:
        middle = (low + high) // 2
        if kept_with(middle):
            high = middle
        else:
            low = middle
    return Mixed(tuple(order[:high]), tuple(trials), kept=True)
