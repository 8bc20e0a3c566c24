"""How far a model's metric is from another one's, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwsvd_export.errors import DataError, given, is_number
from fwsvd_export.storage.schema import Count, Line, Number

CONFIDENCE = 0.95  # of an interval, unless asked otherwise


@dataclass(frozen=True)
class Interval:
    """A difference of one metric, and both ends of its interval."""

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Difference:
    """A metric less the dense model's on the same examples, with a paired bootstrap interval over examples.

    Attributes:
        against: the dense model, as it was given.
        value: the metric less the dense model's.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: of the two-sided interval, such as 0.95.
        examples: that both were measured on.
        dense: the dense model's metric.
        beside: the same of further metrics, by name.
        changed: examples of which the two models do not say the same.
        against_sha256: of the dense model's weights, as ``evaluate`` gives it; None for a model in memory.
        largest_cost: of one more lost answer to the metric, times the number of examples.
    """

    against: Line
    value: Number
    low: Number
    high: Number
    confidence: Number
    examples: Count
    dense: Number
    beside: dict[str, Interval] = field(default_factory=dict)
    changed: Count | None = None
    against_sha256: Line | None = None
    largest_cost: Number = 1.0

    def __str__(self) -> str:
        return str(self.interval)

    @property
    def interval(self) -> Interval:
        """Of the main metric."""
        return Interval(self.value, self.low, self.high)


def check_confidence(confidence: float) -> None:
    """Refuses a confidence that no interval has.

    Raises:
        DataError: it is not above 0.5 and below 1.
    """
    if not (is_number(confidence) and 0.5 < confidence < 1):
        raise DataError(f"confidence {given(confidence)}: a number above 0.5 and below 1 is allowed, as 0.95")
