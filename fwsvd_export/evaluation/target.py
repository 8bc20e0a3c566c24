"""An accuracy target: how far a metric may be below the dense model's, and how sure that must be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fwsvd_export.errors import RankError
from fwsvd_export.evaluation.difference import CONFIDENCE, Difference, check_confidence

ROUNDING = 1e-12  # of a bound


@dataclass(frozen=True)
class Target:
    """A drop that is allowed, and the confidence that it is not exceeded.

    A model meets it when the lower end of the interval of its difference from the dense model is not below the drop.

    Args:
        max_drop: of the metric, at least 0.
        confidence: of the two-sided interval, above 0.5 and below 1.

    Raises:
        RankError: a negative drop.
        DataError: a confidence that is not allowed.

    Example:
        >>> seen = Difference("dense", value=0.0, low=0.0, high=0.0, confidence=0.95, examples=300, dense=0.9)
        >>> Target(0.01).met(seen), round(Target(0.01).bounded(seen).low, 4)
        (True, -0.0122)
    """

    max_drop: float
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        check_max_drop(self.max_drop)
        check_confidence(self.confidence)

    def met(self, difference: Difference) -> bool:
        """Whether a difference is within the target."""
        return difference.low >= -self.max_drop - ROUNDING

    def bounded(self, difference: Difference) -> Difference:
        """The difference of another model than the dense one, its lower end as low as losses that were not seen allow.

        Resamples know the losses that were seen, and of a model that lost nothing yet they say that it never will. A
        share of answers that are lost, but were not in the sample, is below 1 - (tail)^(1 / examples): 3.7 / examples
        at 95 % (Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all right?"). What that costs the
        metric is that share times ``largest_cost``.
        """
        unseen = 1 - ((1 - self.confidence) / 2) ** (1 / difference.examples)
        return replace(difference, low=min(difference.low, difference.value - unseen * difference.largest_cost))


def check_max_drop(max_drop: float) -> None:
    """Refuses a drop below zero.

    Raises:
        RankError: it is.
    """
    if not max_drop >= 0:
        raise RankError(f"max-drop {max_drop:g}: a number of at least 0 is allowed")


def examples_needed(value: float, low: float, max_drop: float, examples: int) -> int | None:
    """About how many examples would show that a target is met, should the difference stay what it is.

    Args:
        value: the difference that was measured.
        low: lower end of its interval.
        max_drop: of the target.
        examples: that both were measured on.

    Returns:
        None where the difference itself is not within the target. An interval narrows with the square root of the
        number of examples.

    Example:
        >>> examples_needed(value=-0.005, low=-0.015, max_drop=0.01, examples=1000)
        4000
    """
    slack = value + max_drop
    return math.ceil(examples * max(1.0, ((value - low) / slack) ** 2)) if slack > ROUNDING else None
