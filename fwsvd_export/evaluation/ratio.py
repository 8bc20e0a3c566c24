"""The smallest model that meets an accuracy target: its metric on held-out data is near the dense one's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.prepare import Prepared
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.target import Target
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget

RESOLUTION = 0.01  # of the ratio; finer differences drown in the noise of a few thousand validation examples

Compare = Callable[[Any], tuple[float, Difference]]
"""A model -> its metric on the validation data, and the difference from the dense model's."""


@dataclass(frozen=True)
class Trial:
    """One size that was tried.

    Attributes:
        ratio: that was asked for.
        value: the metric on the validation data.
        difference: from the dense model's, bounded as ``Target.bounded`` does it.
        kept: whether the target was met.
    """

    ratio: float
    value: float
    difference: Difference
    kept: bool


@dataclass(frozen=True)
class TargetSearch:
    """The outcome of the search.

    Attributes:
        compressed: the smallest model that met the target, or the one at ratio 1 when none did.
        trials: in the order they were made.
        kept: whether it did.
    """

    compressed: Compressed
    trials: tuple[Trial, ...]
    kept: bool


def smallest_within(prepared: Prepared, compare: Compare, target: Target) -> TargetSearch:
    """Bisects the ratio between the smallest possible and 1.

    The metric is taken to rise with the ratio, as it does but for noise: the answer is a model that meets the target
    next to a smaller one that does not. Every size that was tried above the answer met the target, so it is wrong only
    when the largest of the sizes tried that are too small passed for one that is not. An interval of 95 % lets one such
    size pass in 40 runs; that several get a try, one after the other, is what its other half is left for.

    Args:
        prepared: the decomposed model; nothing is decomposed again.
        compare: how far a model is from the dense one; of metrics larger ones are better.
        target: what the model must meet.
    """
    trials = []

    def tried(ratio: float) -> tuple[Compressed, bool]:
        compressed = prepared.at(Budget(ratio=ratio))
        value, difference = compare(compressed.model)
        if compressed.report.approximates:
            difference = target.bounded(difference)
        trials.append(Trial(ratio, value, difference, target.met(difference)))
        return compressed, trials[-1].kept

    best, kept = tried(1.0)
    if not kept:
        return TargetSearch(best, tuple(trials), kept=False)
    low, high = smallest_ratio(prepared.inputs.encoder.layers, prepared.inputs.size.limits), 1.0
    while high - low > RESOLUTION:
        middle = round((low + high) / 2, 4)
        compressed, kept = tried(middle)
        if kept:
            best, high = compressed, middle
        else:
            low = middle
    return TargetSearch(best, tuple(trials), kept=True)
