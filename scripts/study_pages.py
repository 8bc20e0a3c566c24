"""The tables and the figure of the study, from the results of its sweeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib import pyplot
from matplotlib.lines import Line2D
from pictures import save

from fwsvd_export.errors import SweepError
from fwsvd_export.report.sweep import Spread
from fwsvd_export.report.sweep_figure import STYLES, TITLES, draw_panel
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.sweep.result import SweepResult, Training

TASKS = ("cola", "stsb", "sst2")
TRAININGS: tuple[Training, ...] = ("none", "finetuned")
ITERATIVE = ("em", "nesterov", "anderson", "als")
_BLOCK = re.compile(
    r"(?P<begin><!-- begin (?P<name>[\w-]+) \(scripts/reproduce_study\.py\) -->\n).*?(?P<end><!-- end (?P=name) -->)",
    flags=re.DOTALL,
)


def draw_study(results: Sequence[SweepResult], path: Path) -> None:
    """Draws a column per task and a row per training: metric against the share of linear weights that is kept."""
    figure, axes = pyplot.subplots(
        len(TRAININGS), len(results), figsize=(4.2 * len(results) + 1.4, 7.2), squeeze=False, layout="constrained"
    )
    for column, result in enumerate(results):
        for row, training in enumerate(TRAININGS):
            axis = axes[row][column]
            if not any(found.training == training for found in result.rows):
                axis.set_axis_off()
                continue
            draw_panel(axis, result, training)
            axis.set_title(f"{result.task}, {TITLES[training]}")
            axis.set_ylabel(metric_name(result))
    lines = [Line2D([], [], color=colour, marker=marker, markersize=5) for colour, marker in STYLES.values()]
    dense = Line2D([], [], color="#555555", linestyle="--")
    figure.legend([dense, *lines], ["dense", *STYLES], loc="outside right center", frameon=False)
    save(figure, path, drawn(results))


def drawn(results: Sequence[SweepResult]) -> list[dict[str, Any]]:
    """What the figure shows, as JSON values."""
    return [result.to_json() for result in results]


def read_studies(folder: Path) -> list[SweepResult]:
    """The committed results of every task, with the rows of all its sweeps, in the order of the tasks."""
    studies = []
    for task in TASKS:
        files = sorted(folder.glob(f"{task}-*.json"))
        found = [SweepResult.from_json(read_json(file, SweepError), file.name, SweepError) for file in files]
        if found:
            studies.append(replace(found[0], rows=tuple(row for result in found for row in result.rows)))
    return studies


def filled(page: str, results: Sequence[SweepResult]) -> str:
    """A page in which everything between the comments ``begin NAME`` and ``end NAME`` is written anew."""
    blocks = {"values": "\n".join(map(values_table, results)), "claims": claims_table(results)}

    def block(found: re.Match[str]) -> str:
        return f"{found['begin']}{blocks[found['name']]}\n{found['end']}"

    return _BLOCK.sub(block, page)


def values_table(result: SweepResult) -> str:
    """Mean over the seeds, smallest and largest value in brackets, of every method, training and rank."""
    ranks = ranks_of(result)
    examples = result.rows[0].examples
    lines = [
        f"**{result.task}**, {metric_name(result)} of {examples:,} examples, dense {result.dense.value:.4f}",
        "",
        "| method | " + " | ".join(f"rank {rank}" for rank in ranks) + " |",
        "|---" * (len(ranks) + 1) + "|",
    ]
    for training in TRAININGS:
        for method in STYLES:
            cells = [values_of(result, method, training, rank) for rank in ranks]
            if any(cells):
                name = method if training == "none" else f"{method}, fine-tuned"
                lines.append(f"| {name} | " + " | ".join(str(Spread(cell)) if cell else "" for cell in cells) + " |")
    return "\n".join([*lines, ""])


def claims_table(results: Sequence[SweepResult]) -> str:
    """For every task, training and rank: the best method, the best iterative one, where FWSVD stands, EM's spread."""
    lines = [
        "| task | rank | training | best | best iterative | fwsvd (place of 8) | em, all seeds |",
        "|---" * 7 + "|",
    ]
    for result in results:
        for rank in ranks_of(result):
            for training in TRAININGS:
                means = {
                    method: fmean(found) for method in STYLES if (found := values_of(result, method, training, rank))
                }
                if len(means) < len(STYLES):
                    continue
                order = sorted(means, key=lambda method: -means[method])
                iterative = next(method for method in order if method in ITERATIVE)
                em = values_of(result, "em", training, rank)
                cells = [
                    result.task,
                    str(rank),
                    TITLES[training],
                    f"{order[0]} {means[order[0]]:.4f}",
                    f"{iterative} {means[iterative]:.4f}",
                    f"{means['fwsvd']:.4f} ({order.index('fwsvd') + 1})",
                    f"{min(em):.4f} to {max(em):.4f}",
                ]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def metric_name(result: SweepResult) -> str:
    """The metric, as words."""
    return result.metric.replace("_", " ")


def ranks_of(result: SweepResult) -> list[int]:
    """The ranks of a sweep, the smallest first."""
    return sorted({row.rank for row in result.rows if row.rank is not None})


def values_of(result: SweepResult, method: str, training: Training, rank: int) -> tuple[float, ...]:
    """The metric of every seed."""
    asked = (method, training, rank)
    return tuple(row.value for row in result.rows if (row.method, row.training, row.rank) == asked)
