"""Compressed models of one dense one by size: the points that tables and figures of a sweep are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.report.page.words import percent
from fwsvd_export.sweep.result import SweepRow

RANK = "rank"  # before the number, where a rank was asked for


@dataclass(frozen=True)
class SizeCell:
    """Models that differ in the seed alone.

    Attributes:
        method: name from the solver table.
        asked: the ratio or the rank that was asked for, in words.
        training: what was done after compression, one of ``sweep.result.TRAININGS``.
        share: of the encoder's linear weights that is used; the seeds' mean.
        parameters: of the whole model; the seeds' mean.
        values: the metric, by seed.
        differences: against the dense model, of the seeds that have one.
        seconds: of making one; the seeds' mean.
    """

    method: str
    asked: str
    training: str
    share: float
    parameters: int
    values: tuple[float, ...]
    differences: tuple[Difference, ...]
    seconds: float

    @property
    def value(self) -> float:
        """The seeds' mean."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """(confidence, low, high) that holds the intervals of all seeds; None where one has none."""
        confidences = {difference.confidence for difference in self.differences}
        if len(confidences) != 1 or len(self.differences) != len(self.values):
            return None
        lows, highs = zip(*((difference.low, difference.high) for difference in self.differences), strict=True)
        return confidences.pop(), min(lows), max(highs)


def cells_of(rows: Iterable[SweepRow]) -> list[SizeCell]:
    """The rows of a sweep with the seeds of one cell together, in the order of their first rows."""
    groups: dict[tuple[object, ...], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.method, row.ratio, row.rank, row.training), []).append(row)
    return [_cell(found) for found in groups.values()]


def asked(row: SweepRow) -> str:
    """The size that was asked for, in words."""
    if row.ratio is not None:
        return percent(row.ratio)
    return "" if row.rank is None else f"{RANK} {row.rank:,}"


def _cell(rows: Sequence[SweepRow]) -> SizeCell:
    return SizeCell(
        method=rows[0].method,
        asked=asked(rows[0]),
        training=rows[0].training,
        share=fmean(row.linear_ratio for row in rows),
        parameters=round(fmean(row.parameters for row in rows)),
        values=tuple(row.value for row in rows),
        differences=tuple(row.difference for row in rows if row.difference is not None),
        seconds=fmean(row.seconds for row in rows),
    )
