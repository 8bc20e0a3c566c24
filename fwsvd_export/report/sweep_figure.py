"""The picture of a sweep: the metric against the size, a panel per training, a line per method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from fwsvd_export.report.figures import pyplot_or_error
from fwsvd_export.sweep.result import TRAININGS, SweepResult, SweepRow, Training

TITLES = {"none": "compressed", "finetuned": "compressed, fine-tuned", "distilled": "compressed, distilled"}
# Method -> colour and marker. The colours are those of Okabe and Ito (2008, "Color universal design"), told apart with
# every common kind of colour blindness; a marker of its own tells a method apart in grey, too.
STYLES = {
    "svd": ("#999999", "o"),
    "fwsvd": ("#e69f00", "s"),
    "em": ("#56b4e9", "v"),
    "nesterov": ("#009e73", "<"),
    "anderson": ("#cc79a7", ">"),
    "als": ("#0072b2", "^"),
    "activation": ("#d55e00", "D"),
    "kfac": ("#000000", "P"),
}
_WIDE = 3  # largest size over smallest from which on the axis is logarithmic
_DENSE: dict[str, Any] = {"color": "#555555", "linestyle": "--", "linewidth": 1.2}


def draw_sweep(result: SweepResult, path: Path) -> None:
    """Draws a panel per training into a PNG: means over the seeds, bands from the smallest to the largest value.

    Args:
        result: with at least one row.
        path: of the PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    trainings = [training for training in TRAININGS if any(row.training == training for row in result.rows)]
    figure, axes = pyplot.subplots(
        1, len(trainings), figsize=(1.6 + 4.2 * len(trainings), 4.2), squeeze=False, sharey=True, layout="constrained"
    )
    methods = [method for method in STYLES if any(row.method == method for row in result.rows)]
    for axis, training in zip(axes[0], trainings, strict=True):
        draw_panel(axis, result, training)
        axis.set_title(TITLES[training])
    axes[0][0].set_ylabel(result.metric.replace("_", " "))
    lines = [
        pyplot.Line2D([], [], color=colour, marker=marker, markersize=5)
        for colour, marker in (STYLES[method] for method in methods)
    ]
    dense = pyplot.Line2D([], [], **_DENSE)
    figure.legend(
        [dense, *lines], [f"dense ({result.dense.value:.3f})", *methods], loc="outside right center", frameon=False
    )
    figure.savefig(path, dpi=150, format="png")
    pyplot.close(figure)


def draw_panel(axis: Any, result: SweepResult, training: Training) -> None:
    """Draws a line per method, and a dashed one for the dense model, of the models that were trained in one way.

    Args:
        axis: of matplotlib.
        result: its rows.
        training: of ``TRAININGS``; with at least one row.
    """
    rows = [row for row in result.rows if row.training == training]
    axis.axhline(result.dense.value, **_DENSE)
    for method, style in STYLES.items():
        _draw_line(axis, [row for row in rows if row.method == method], *style)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    _label_sizes(axis, rows)


def _draw_line(axis: Any, rows: Sequence[SweepRow], colour: str, marker: str) -> None:
    """One method: its mean at every size that was asked for, and its spread."""
    groups: dict[tuple[float | None, int | None], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.ratio, row.rank), []).append(row)
    points = sorted(
        (100 * fmean(row.linear_ratio for row in group), [row.value for row in group]) for group in groups.values()
    )
    if not points:
        return
    sizes, values = [size for size, _ in points], [seeds for _, seeds in points]
    lowest, highest = [min(seeds) for seeds in values], [max(seeds) for seeds in values]
    axis.fill_between(sizes, lowest, highest, color=colour, alpha=0.18, linewidth=0)
    axis.vlines(sizes, lowest, highest, color=colour, alpha=0.5, linewidth=1)
    axis.plot(sizes, [fmean(seeds) for seeds in values], color=colour, marker=marker, markersize=5, linewidth=1.6)


def _label_sizes(axis: Any, rows: Sequence[SweepRow]) -> None:
    """Labels the axis with the sizes there are; those far apart are on a logarithmic scale."""
    axis.set_xlabel("encoder linear weights kept (%)")
    sizes = sorted({round(100 * row.linear_ratio, 1) for row in rows})
    if sizes[-1] < _WIDE * sizes[0]:
        return
    axis.set_xscale("log")
    ticks: list[float] = []
    for asked in sorted({row.ratio for row in rows if row.ratio is not None}) or [size / 100 for size in sizes]:
        if not ticks or 100 * asked > 1.25 * ticks[-1]:  # closer ones would write over each other
            ticks.append(100 * asked)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
