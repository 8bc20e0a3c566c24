"""Fields of tables: what is not known stays empty, and columns without anything in them are left out."""

from __future__ import annotations

from collections.abc import Iterable

from fwsvd_export.report.page.parts import Cell, Column, Table
from fwsvd_export.report.page.words import megabytes, millions, percent, score, signed

EMPTY = Cell("")


def table(title: str, columns: Iterable[Column], rows: Iterable[tuple[Cell, ...]], **more: str | bool) -> Table:
    """A table without the columns that are empty in every row.

    Args:
        title: above it.
        columns: all there may be.
        rows: as many cells as columns.
        more: ``note`` and ``folded`` of the table.

    Example:
        >>> table("", [Column("a"), Column("b")], [(Cell("1"), EMPTY)]).columns
        (Column(title='a', numeric=True),)
    """
    columns, rows = list(columns), list(rows)
    kept = [place for place in range(len(columns)) if any(row[place].text for row in rows)]
    return Table(
        title,
        tuple(columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
        note=str(more.get("note", "")),
        folded=bool(more.get("folded", False)),
    )


def texts(*titles: str) -> list[Column]:
    """Columns of words."""
    return [Column(title, numeric=False) for title in titles]


def numbers(*titles: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(title) for title in titles]


def interval_title(confidences: Iterable[float]) -> str:
    """Title of a column of intervals.

    Example:
        >>> interval_title([0.95, 0.95]), interval_title([0.9, 0.95])
        ('95 % interval', 'interval')
    """
    found = set(confidences)
    return f"{percent(found.pop())} interval" if len(found) == 1 else "interval"


def metric_cell(value: float | None) -> Cell:
    """A metric, to four places."""
    return EMPTY if value is None else Cell(score(value, 4), order=value)


def signed_cell(value: float | None) -> Cell:
    """A difference of metrics, to four places."""
    return EMPTY if value is None else Cell(signed(value, 4), order=value)


def range_cell(low: float | None, high: float | None, *, signs: bool = False) -> Cell:
    """Two ends, sorted by the lower one; of a metric, or with signs of a difference of metrics."""
    if low is None or high is None:
        return EMPTY
    word = signed if signs else score
    return Cell(f"{word(low, 4)} to {word(high, 4)}", order=low)


def share_cell(value: float | None) -> Cell:
    """A share of the linear weights."""
    return EMPTY if value is None else Cell(percent(value), order=value)


def parameters_cell(count: int) -> Cell:
    """A number of parameters."""
    return Cell(millions(count).replace("million", "M"), order=count)


def bytes_cell(count: int | None) -> Cell:
    """The size of a file."""
    return EMPTY if count is None else Cell(megabytes(count), order=count)


def count_cell(count: int | None) -> Cell:
    """A whole number."""
    return EMPTY if count is None else Cell(f"{count:,}", order=count)


def decimal_cell(value: float | None, digits: int = 1) -> Cell:
    """A number with so many digits behind the point."""
    return EMPTY if value is None else Cell(f"{value:,.{digits}f}", order=value)


def loss_cell(value: float | None) -> Cell:
    """A loss, which may be of any size."""
    return EMPTY if value is None else Cell(f"{value:.3g}", order=value)
