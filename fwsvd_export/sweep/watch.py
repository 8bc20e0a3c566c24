"""How a sweep reports what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.sweep.grid import Cell, Grid
from fwsvd_export.sweep.result import SweepDense, SweepRow


class Watch(Protocol):
    """Told of every cell; ``steps`` is the progress inside of one."""

    @property
    def steps(self) -> Steps:
        """Progress of the work on one cell, or on what several share."""

    def planned(self, grid: Grid, dense: SweepDense, done: Mapping[Cell, SweepRow]) -> None:
        """The work begins.

        Args:
            grid: of all cells.
            dense: what they are compared with.
            done: cells of the grid that are there.
        """

    def began(self, cell: Cell) -> None:
        """A cell is being made."""

    def ended(self, cell: Cell, row: SweepRow) -> None:
        """A cell is done."""


class Unwatched:
    """Shows nothing."""

    steps = staticmethod(silent)

    def planned(self, grid: Grid, dense: SweepDense, done: Mapping[Cell, SweepRow]) -> None:
        """Nothing."""

    def began(self, cell: Cell) -> None:
        """Nothing."""

    def ended(self, cell: Cell, row: SweepRow) -> None:
        """Nothing."""
