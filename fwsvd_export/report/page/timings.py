"""Latencies of several models side by side, and which of them nothing else beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.report.page.plot import DENSE

Shape = tuple[int, int]
"""(batch size, tokens)"""
_UNSTEADY = 2  # a 90th percentile of so many medians: something else ran on the machine


@dataclass(frozen=True)
class Timing:
    """One model under one runtime at one shape.

    Attributes:
        model: what tables and figures call it.
        method: that compressed it, ``plot.UNKNOWN`` where it is not told; ``plot.DENSE`` for the dense model.
        runtime: what ran it.
        shape: of the input.
        median_ms: of one call.
        p90_ms: 90th percentile.
        speedup: against the dense model under the same runtime.
        flops_ratio: how many times fewer operations than the dense model's.
        value: its metric under this runtime.
        difference: of it from the dense model's under the same runtime.
        front: whether no other model at this shape is both as fast and as good.
    """

    model: str
    method: str
    runtime: str
    shape: Shape
    median_ms: float
    p90_ms: float
    speedup: float | None
    flops_ratio: float | None
    value: float | None
    difference: Difference | None = None
    front: bool = False

    @property
    def dense(self) -> bool:
        """Whether it is the dense model's."""
        return self.method == DENSE


@dataclass(frozen=True)
class Speed:
    """Latencies of one run on one machine.

    Attributes:
        timings: of all models.
        metric: name of the metric; None where it was not measured.
        machine: the processor, and how it was measured.
    """

    timings: tuple[Timing, ...]
    metric: str | None
    machine: str

    @property
    def unsteady(self) -> str:
        """A sentence where some calls took much longer than others of their kind; else nothing."""
        steady = all(timing.p90_ms <= _UNSTEADY * timing.median_ms for timing in self.timings)
        return "" if steady else "The machine was not quiet: measure again before relying on these latencies."

    @property
    def shapes(self) -> list[Shape]:
        """Those that were timed, in order."""
        return list(dict.fromkeys(timing.shape for timing in self.timings))

    @property
    def shape(self) -> Shape:
        """The shape that one sentence is about: a single request (the smallest batch), at its longest."""
        smallest = min(batch for batch, _ in self.shapes)
        return smallest, max(length for batch, length in self.shapes if batch == smallest)


def with_front(timings: Sequence[Timing]) -> list[Timing]:
    """The timings of one shape, marked where no other one is at least as fast and as good and better in one of both.

    Example:
        >>> row = Timing("", "kfac", "", (1, 8), 2.0, 2.0, None, None, 0.9)
        >>> [found.front for found in with_front([row, replace(row, median_ms=3.0), replace(row, value=0.8)])]
        [True, False, False]
    """

    def beaten(one: Timing, other: Timing) -> bool:
        if one.value is None or other.value is None:
            return False
        no_worse = other.median_ms <= one.median_ms and other.value >= one.value
        return no_worse and (other.median_ms, other.value) != (one.median_ms, one.value)

    return [
        replace(one, front=one.value is not None and not any(beaten(one, other) for other in timings))
        for one in timings
    ]
