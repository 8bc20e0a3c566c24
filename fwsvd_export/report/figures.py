"""Figures, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fwsvd_export.errors import MissingExtraError


@dataclass(frozen=True)
class Panel:
    """One chart: metric against the share of weights kept, one line per method.

    Attributes:
        title: above the chart.
        metric: label of the vertical axis.
        dense: the dense model's value, drawn as a horizontal line.
        curves: method -> [(ratio, value), ...].
    """

    title: str
    metric: str
    dense: float
    curves: Mapping[str, Sequence[tuple[float, float]]]


def draw_metric_against_size(panels: Sequence[Panel], path: Path) -> None:
    """Draws the panels side by side into a PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "report") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.6 * len(panels), 4), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        axis.axhline(panel.dense, color="black", linestyle="--", linewidth=1, label="dense")
        for method, points in panel.curves.items():
            ratios = [100 * ratio for ratio, _ in points]
            axis.plot(ratios, [value for _, value in points], marker="o", markersize=4, label=method)
        axis.set_title(panel.title)
        axis.set_xlabel("encoder linear weights kept (%)")
        axis.set_ylabel(panel.metric.replace("_", " "))
        axis.grid(alpha=0.3)
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
