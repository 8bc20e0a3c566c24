"""The table of latencies: how long a call takes."""

from __future__ import annotations

from fwsvd_export.report.page.cells import decimal_cell, numbers, table, texts
from fwsvd_export.report.page.parts import Cell, Table
from fwsvd_export.report.page.timings import Speed, Timing


def latency_table(speed: Speed) -> Table:
    """A row per model, runtime and shape."""
    columns = texts("model", "runtime")
    columns += numbers("batch × tokens", "median ms", "p90 ms", "times faster", "operations allow")
    columns += texts("front")
    note = (
        "p90 is the 90th percentile. Times faster is against the dense model under the same runtime; behind it stands "
        "what fewer operations allow."
    )
    if any(timing.front for timing in speed.timings):
        note += " On the Pareto front of its shape (front) is what nothing else beats in both latency and metric."
    return table("Latency", columns, map(_timing_row, speed.timings), note=note)


def _timing_row(timing: Timing) -> tuple[Cell, ...]:
    batch_size, length = timing.shape
    return (
        Cell(timing.model, series=timing.method),
        Cell(timing.runtime),
        Cell(f"{batch_size:,} × {length:,}", order=batch_size * length),
        decimal_cell(timing.median_ms),
        decimal_cell(timing.p90_ms),
        decimal_cell(timing.speedup, 2),
        decimal_cell(timing.flops_ratio, 2),
        Cell("yes", order=1) if timing.front else Cell("", order=0),
    )
