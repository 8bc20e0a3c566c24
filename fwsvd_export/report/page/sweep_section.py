"""The section of a sweep: metric against size, every cell of the grid, ranks."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.report.page.cells import (
    EMPTY,
    count_cell,
    decimal_cell,
    interval_title,
    loss_cell,
    metric_cell,
    numbers,
    parameters_cell,
    range_cell,
    share_cell,
    signed_cell,
    table,
    texts,
)
from fwsvd_export.report.page.facts import SweepFacts
from fwsvd_export.report.page.parts import Cell, Picture, Section, Table
from fwsvd_export.report.page.plot import DENSE
from fwsvd_export.report.page.rank_plot import RankMap, rank_figure
from fwsvd_export.report.page.size_plot import STATES, size_figure
from fwsvd_export.report.page.sizes import RANK, SizeCell, asked, cells_of
from fwsvd_export.report.page.words import titled
from fwsvd_export.sweep.result import SweepResult
from fwsvd_export.wording import counted


def sweep_section(facts: SweepFacts, title: str = "Sweep", pictures: Sequence[Picture] = ()) -> Section:
    """The section of one sweep folder.

    Args:
        facts: of the folder.
        title: above it.
        pictures: PNGs in it.
    """
    result, cells = facts.result, cells_of(facts.result.rows)
    done = f"{len(result.rows):,} of {counted(result.planned, 'cell')} of the grid"
    if not cells:
        return Section(title, paragraphs=(f"{done} are done.",))
    examples = ", ".join(dict.fromkeys(counted(row.examples, "example") for row in result.rows))
    figures = [size_figure(cells, result.metric, result.dense.value), rank_figure(_rank_maps(result))]
    return Section(
        title,
        paragraphs=(f"{done} are done, measured by {titled(result.metric)} on {result.validation} ({examples}).",),
        figures=tuple(figure for figure in figures if figure is not None),
        pictures=tuple(pictures),
        tables=(_grid(result, cells), *([_every_row(result)] if len(cells) < len(result.rows) else [])),
    )


def _rank_maps(result: SweepResult) -> list[RankMap]:
    """The ranks of every method and size; training does not change them, and of the seeds the first one is shown."""
    first = {(row.method, asked(row)): row for row in reversed(result.rows) if row.ranks}
    rows = sorted(first.values(), key=result.rows.index)
    return [RankMap(f"{row.method}, {asked(row)}", dict(row.ranks), {}, {}) for row in rows]


def _grid(result: SweepResult, cells: Sequence[SizeCell]) -> Table:
    """The dense model, then a row per cell, its seeds together."""
    columns = texts("method")
    columns += numbers("asked for")
    columns += texts("training")
    columns += numbers("linear weights", "parameters", titled(result.metric), "seeds", "over seeds")
    columns += numbers("against dense", interval_title(cell.interval[0] for cell in cells if cell.interval), "seconds")
    dense = (
        Cell(DENSE, series=DENSE),
        *[EMPTY] * 2,
        share_cell(1.0),
        parameters_cell(result.dense.parameters),
        metric_cell(result.dense.value),
        *[EMPTY] * 5,
    )
    trained = any(cell.training != "none" for cell in cells)
    counts = len({len(cell.values) for cell in cells}) > 1
    rows = (_cell_row(cell, result.dense.value, trained, counts) for cell in cells)
    return table("Every cell of the grid", columns, [dense, *rows], note=_note(cells))


def _cell_row(cell: SizeCell, dense: float, trained: bool, counts: bool) -> tuple[Cell, ...]:
    several = len(cell.values) > 1
    low, high = cell.interval[1:] if cell.interval else (None, None)
    return (
        Cell(cell.method, series=cell.method),
        Cell(cell.asked, order=cell.share) if cell.asked.startswith(RANK) else EMPTY,
        Cell(STATES[cell.training]) if trained else EMPTY,
        share_cell(cell.share),
        parameters_cell(cell.parameters),
        metric_cell(cell.value),
        count_cell(len(cell.values)) if counts else EMPTY,
        range_cell(min(cell.values), max(cell.values)) if several else EMPTY,
        signed_cell(cell.value - dense),
        range_cell(low, high, signs=True),
        decimal_cell(cell.seconds, 0),
    )


def _note(cells: Sequence[SizeCell]) -> str:
    several = any(len(cell.values) > 1 for cell in cells)
    sentences = ["Values are the seeds' mean, and beside it stand the lowest and the highest."] if several else []
    if any(cell.interval for cell in cells):
        seeds = "; of several seeds, the lowest and the highest end" if several else ""
        sentences.append(
            f"Intervals are those of the difference from the dense model, a paired bootstrap over examples{seeds}."
        )
    return " ".join(sentences)


def _every_row(result: SweepResult) -> Table:
    """A row per seed."""
    columns = texts("method", "training")
    columns += numbers("seed", "asked for", "linear weights", titled(result.metric), "against dense", "interval")
    columns += numbers("predicted loss", "seconds")
    rows = (
        (
            Cell(row.method, series=row.method),
            Cell(STATES[row.training]),
            count_cell(row.seed),
            Cell(asked(row), order=row.linear_ratio),
            share_cell(row.linear_ratio),
            metric_cell(row.value),
            signed_cell(row.value - result.dense.value),
            EMPTY if row.difference is None else range_cell(row.difference.low, row.difference.high, signs=True),
            loss_cell(row.predicted_loss),
            decimal_cell(row.seconds, 0),
        )
        for row in result.rows
    )
    return table("Every seed", columns, rows, folded=True)
