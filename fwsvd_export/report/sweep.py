"""What a sweep found, beside its ``results.json``: a table, a page and a picture."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from fwsvd_export.report.bench import machine_line
from fwsvd_export.report.sweep_figure import draw_sweep
from fwsvd_export.storage.names import without_folders
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.sweep.grid import size_name
from fwsvd_export.sweep.result import SweepResult, SweepRow
from fwsvd_export.wording import counted

PICTURE, PAGE = "sweep.png", "report.md"


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds of one model.

    Example:
        >>> print(Spread((0.8,))), print(Spread((0.8, 0.9)))
        0.8000
        0.8500 (0.8000 to 0.9000)
        (None, None)
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.values)

    def __str__(self) -> str:
        if len(set(self.values)) == 1:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} ({min(self.values):.4f} to {max(self.values):.4f})"


def line_of(row: SweepRow) -> str:
    """The line of a table that a row stands in.

    Returns:
        The method, and how the model was trained where it was.
    """
    return row.method if row.training == "none" else f"{row.method}, {row.training}"


def sweep_table(result: SweepResult) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: a line per method and training, a column per size; empty where nothing is done yet."""
    lines = list(dict.fromkeys(map(line_of, result.rows)))
    sizes = list(dict.fromkeys((row.ratio, row.rank) for row in result.rows))
    values: dict[tuple[str, tuple[float | None, int | None]], list[float]] = {}
    for row in result.rows:
        values.setdefault((line_of(row), (row.ratio, row.rank)), []).append(row.value)
    rows = [
        [line, *(str(Spread(tuple(values[line, size]))) if (line, size) in values else "" for size in sizes)]
        for line in lines
    ]
    return ["method", *(size_name(*size) for size in sizes)], rows


def write_sweep(folder: Path, result: SweepResult) -> None:
    """Writes the picture and the page into the folder of a sweep, each atomically.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the disk is full.
    """
    if result.rows:
        with atomic_output(folder / PICTURE, overwrite=True) as file:
            draw_sweep(result, file)
    with atomic_output(folder / PAGE, overwrite=True) as file:
        file.write_text(_page(result), encoding="utf-8")


def _page(result: SweepResult) -> str:
    seeds = len({row.seed for row in result.rows})
    dense, metric = result.dense, result.metric.replace("_", " ")
    command = result.recipe.command if result.recipe is not None else result.command
    lines = [
        f"# {without_folders(result.model)}: {metric} against size",
        "",
        f"Task {result.task}, measured on {result.validation}, calibrated on {result.data}. Dense: {metric} "
        f"{dense.value:.4f}, {counted(dense.parameters, 'parameter')}, of which {dense.linear_weights:,} are "
        "weights of the encoder's linear layers, which a ratio is of.",
        f"{len(result.rows)} of {counted(result.planned, 'cell')} are done. {machine_line(result.environment)}.",
        "",
        *([f"![{metric} against size]({PICTURE})", ""] if result.rows else []),
        *_table(*sweep_table(result)),
        "",
        *(["Means over the seeds, in brackets the smallest and the largest value.", ""] if seeds > 1 else []),
        "## Every model",
        "",
        *_table(_TITLES, map(_cells, result.rows)),
        "",
        *_legend(result.rows),
        "Seconds in all: "
        + (", ".join(f"{name} {value:.1f}" for name, value in result.seconds.items()) or "none")
        + ".",
        "",
        *(["```sh", shlex.join(command), "```", ""] if command else []),
    ]
    return "\n".join(lines)


_TITLES = ["method", "training", "size", "seed", "weights kept", "parameters", "metric", "less dense", "seconds"]


def _cells(row: SweepRow) -> list[str]:
    return [
        row.method,
        row.training,
        size_name(row.ratio, row.rank),
        str(row.seed),
        f"{100 * row.linear_ratio:.1f} %",
        f"{row.parameters:,}",
        f"{row.value:.4f}",
        "" if row.difference is None else str(row.difference),
        f"{row.seconds:.1f}",
    ]


def _legend(rows: Sequence[SweepRow]) -> list[str]:
    known = next((row.difference for row in rows if row.difference is not None), None)
    if known is None:
        return []
    return [
        f"Less dense: the metric less the dense model's on the same {counted(known.examples, 'example')}, with its "
        f"{100 * known.confidence:g} % interval (paired bootstrap over examples).",
        "",
    ]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(titles) + " |",
        "|---" * len(titles) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
