"""What a person sees of a sweep on stderr: a live table, or a line per model where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from fwsvd_export.cli.console import hint, progress_columns
from fwsvd_export.report.sweep import Spread
from fwsvd_export.runtime.progress import Advance, Steps, silent
from fwsvd_export.sweep.grid import Cell, Grid
from fwsvd_export.sweep.result import SweepDense, SweepRow
from fwsvd_export.sweep.watch import Unwatched, Watch
from fwsvd_export.wording import counted

_REFRESHES = 4  # a second
_AT_WORK, _TO_DO = "…", "·"


@contextmanager
def sweep_progress() -> Iterator[Watch]:
    """A live table on a terminal, lines elsewhere, nothing with -q."""
    if click.get_current_context().obj["quiet"]:
        yield Unwatched()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        table = LiveTable(Console(stderr=True))
        with table.live:
            yield table


class Lines:
    """A line per model that is made."""

    steps = staticmethod(silent)

    def __init__(self) -> None:
        self._planned = self._ended = 0

    def planned(self, grid: Grid, dense: SweepDense, done: Mapping[Cell, SweepRow]) -> None:
        """How much there is to do."""
        hint(f"dense: {dense.value:.4f}; {len(done)} of {counted(len(grid.cells), 'model')} are there.")
        self._planned, self._ended = len(grid.cells), len(done)

    def began(self, cell: Cell) -> None:
        """Nothing: a line tells of the end."""

    def ended(self, cell: Cell, row: SweepRow) -> None:
        """What was measured."""
        self._ended += 1
        difference = "" if row.difference is None else f" ({row.difference})"
        hint(f"{cell}: {row.value:.4f}{difference}, {row.seconds:.1f} s, {self._ended} of {self._planned}")


class LiveTable:
    """A row per method and training, a column per size, and how far the current work is.

    Args:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(*progress_columns(), console=console)
        self._grid: Grid | None = None
        self._dense = ""
        self._rows: dict[Cell, SweepRow] = {}
        self._current: Cell | None = None
        self.live = Live(get_renderable=self._rendered, console=console, refresh_per_second=_REFRESHES, transient=True)

    @property
    def steps(self) -> Steps:
        """A bar below the table."""
        return self._bar

    def planned(self, grid: Grid, dense: SweepDense, done: Mapping[Cell, SweepRow]) -> None:
        """The table begins."""
        self._grid, self._rows, self._dense = grid, dict(done), f"{dense.value:.4f}"

    def began(self, cell: Cell) -> None:
        """The cell is marked."""
        self._current = cell

    def ended(self, cell: Cell, row: SweepRow) -> None:
        """The cell is filled in."""
        self._current = None
        self._rows[cell] = row

    @contextmanager
    def _bar(self, what: str, total: int) -> Iterator[Advance]:
        task = self._progress.add_task(what, total=total, note="")

        def advance(note: str = "") -> None:
            self._progress.update(task, advance=1, note=note)

        try:
            yield advance
        finally:
            self._progress.remove_task(task)

    def _rendered(self) -> RenderableType:
        if self._grid is None:
            return self._progress
        return Group(self._table(self._grid), self._progress)

    def _table(self, grid: Grid) -> Table:
        sizes = list(dict.fromkeys(cell.size for cell in grid.cells))
        places: dict[tuple[str, str], list[Cell]] = {}
        for cell in grid.cells:
            places.setdefault((cell.line, cell.size), []).append(cell)
        title = f"dense: {self._dense}; {len(self._rows)} of {counted(len(grid.cells), 'model')}"
        table = Table(title=title, title_justify="left")
        table.add_column("method")
        for size in sizes:
            table.add_column(size, justify="right")
        for line in dict.fromkeys(line for line, _ in places):
            table.add_row(line, *(self._cell(places[line, size]) for size in sizes))
        return table

    def _cell(self, cells: list[Cell]) -> str:
        """The metric over the seeds that are there, and whether one of them is being made."""
        values = tuple(self._rows[cell].value for cell in cells if cell in self._rows)
        at_work = _AT_WORK if self._current in cells else ""
        if not values:
            return at_work or _TO_DO
        seeds = f" {len(values)}/{len(cells)}" if len(values) < len(cells) else ""
        return f"{Spread(values)}{seeds}{at_work}"
