"""Differences that are known without doubt: the interval is the value."""

from __future__ import annotations

from fwsvd_export.evaluation.difference import Difference


def certain(value: float, dense: float) -> Difference:
    """Of a metric from the dense model's; every prediction moved, so that nothing is left that was not seen."""
    change = value - dense
    return Difference("dense", change, change, change, 0.95, examples=100, dense=dense, largest_cost=0)
