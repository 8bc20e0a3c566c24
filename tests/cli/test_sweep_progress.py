"""The live table of a sweep, drawn on a terminal that keeps what it is sent."""

from __future__ import annotations

import io
from dataclasses import replace

import click
from click.testing import CliRunner
from rich.console import Console

from fwsvd_export.cli.sweep_progress import Lines, LiveTable, sweep_progress
from fwsvd_export.records import Budget
from fwsvd_export.sweep.grid import Cell, Grid
from fwsvd_export.sweep.watch import Unwatched, Watch
from tests.sweep.test_result import RESULT, ROW

GRID = Grid(("svd", "kfac"), (Budget(ratio=0.5), Budget(ratio=0.25)), ("none", "distilled"), (0, 1))
DONE = {Cell("svd", Budget(ratio=0.5), "none", seed): replace(ROW, value=0.7 + seed / 10) for seed in (0, 1)}
CURRENT = Cell("kfac", Budget(ratio=0.25), "distilled", 0)


def drawn(table: LiveTable) -> list[str]:
    """The lines that the terminal shows."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(table.live.get_renderable())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def cells(lines: list[str], method: str) -> list[str]:
    (line,) = [line for line in lines if line.startswith(f"│ {method} ")]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def test_the_table_fills_with_the_cells_and_shows_the_one_at_work_and_its_progress() -> None:
    table = LiveTable(Console(file=io.StringIO(), force_terminal=True))
    table.planned(GRID, RESULT.dense, DONE)
    lines = drawn(table)
    assert lines[0].strip() == "dense: 0.8840; 2 of 16 models"
    assert cells(lines, "svd") == ["0.7500 (0.7000 to 0.8000)", "·"]
    table.began(CURRENT)
    with table.steps("training", 8) as advance:
        advance("loss 0.3")
        lines = drawn(table)
        assert cells(lines, "kfac, distilled") == ["·", "…"]
        assert any("training" in line and "1/8" in line and "loss 0.3" in line for line in lines)
    table.ended(CURRENT, ROW)
    lines = drawn(table)
    assert cells(lines, "kfac, distilled") == ["·", "0.8750 1/2"]
    assert lines[0].strip() == "dense: 0.8840; 3 of 16 models"
    assert not any("training" in line for line in lines)


def test_only_a_terminal_gets_a_table_and_quiet_runs_nothing() -> None:
    found: list[Watch] = []

    @click.command()
    @click.option("--quiet", is_flag=True)
    @click.pass_context
    def command(context: click.Context, quiet: bool) -> None:
        context.obj = {"quiet": quiet}
        with sweep_progress() as watch:
            found.append(watch)
            watch.planned(GRID, RESULT.dense, DONE)
            watch.began(CURRENT)
            watch.ended(CURRENT, ROW)

    loud, quiet = (CliRunner().invoke(command, words) for words in ([], ["--quiet"]))
    assert [type(watch) for watch in found] == [Lines, Unwatched]
    assert loud.stderr.splitlines() == [
        "dense: 0.8840; 2 of 16 models are there.",
        "kfac, ratio 0.25, distilled, seed 0: 0.8750 (-0.0090 [-0.0200, +0.0020]), 1.5 s, 3 of 16",
    ]
    assert quiet.output == ""
