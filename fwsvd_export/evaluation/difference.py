"""How far a model's metric is from another one's, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

from fwsvd_export.storage.schema import Count, Line, Number


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
    """

    against: Line
    value: Number
    low: Number
    high: Number
    confidence: Number
    examples: Count
    dense: Number

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
