"""The smallest model that meets an accuracy target: its metric on held-out data is not far below the dense one's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.prepare import Prepared
from fwsvd_export.evaluation.target import check_max_drop
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget

RESOLUTION = 0.01  # of the ratio; finer differences drown in the noise of a few thousand validation examples


@dataclass(frozen=True)
class Trial:
    """One size that was tried: its ratio, the metric on the validation data, and whether the target was met."""

    ratio: float
    value: float
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


def smallest_within(
    prepared: Prepared, evaluate: Callable[[Any], float], dense_value: float, max_drop: float
) -> TargetSearch:
    """Bisects the ratio between the smallest possible and 1.

    The metric is taken to rise with the ratio, as it does but for noise: the answer is a model that meets the target
    next to a smaller one that does not.

    Args:
        prepared: the decomposed model; nothing is decomposed again.
        evaluate: the metric of a model on the validation data, larger is better.
        dense_value: the dense model's.
        max_drop: how far below it the compressed one may be.

    Raises:
        RankError: a negative ``max_drop``.
    """
    check_max_drop(max_drop)
    trials = []

    def tried(ratio: float) -> tuple[Compressed, bool]:
        compressed = prepared.at(Budget(ratio=ratio))
        value = evaluate(compressed.model)
        trials.append(Trial(ratio, value, value >= dense_value - max_drop))
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
