"""Figures, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.result import BenchModel, BenchTiming, display_names
from fwsvd_export.errors import MissingExtraError

SMALLEST_DRAWN = 1e-9  # a loss of nothing has no place on a logarithmic axis
_DENSE_COLOUR, _COMPRESSED_COLOUR = "0.6", "C0"  # grey, and matplotlib's first colour
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One chart with a line per method.

    Attributes:
        title: above the chart.
        metric: label of the vertical axis.
        curves: method -> [(size or seconds, value), ...].
        dense: the dense model's value, drawn as a horizontal line; None for no line.
    """

    title: str
    metric: str
    curves: Mapping[str, Curve]
    dense: float | None = None


def draw_metric_against_size(panels: Sequence[Panel], path: Path) -> None:
    """Draws the panels side by side into a PNG; the curves run over the share of weights kept.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """

    def draw(axis: Any, panel: Panel) -> None:
        for method, points in panel.curves.items():
            ratios = [100 * ratio for ratio, _ in points]
            axis.plot(ratios, [value for _, value in points], marker="o", markersize=4, label=method)
        axis.set_xlabel("encoder linear weights kept (%)")

    _draw(panels, path, draw)


def draw_loss_against_seconds(panels: Sequence[Panel], published: str, path: Path) -> None:
    """Draws convergence, seconds on a logarithmic scale; curves whose name ends in ``published`` are dashed.

    A dashed curve has the colour of the curve that is named like it without the ending.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """

    def draw(axis: Any, panel: Panel) -> None:
        colours: dict[str, str] = {}
        for method, points in panel.curves.items():
            own = method.removesuffix(published)
            (line,) = axis.plot(
                *zip(*points, strict=True),
                label=method,
                linestyle="-" if own == method else "--",
                color=colours.get(own),
            )
            colours[own] = line.get_color()
        axis.set_xscale("log")
        axis.set_xlabel("seconds")

    _draw(panels, path, draw)


def draw_latencies(models: Sequence[BenchModel], path: Path) -> None:
    """Draws a panel per shape with bars per runtime and model, median milliseconds.

    Args:
        models: of a benchmark.
        path: of the PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    timings = [timing for model in models for timing in model.latency]
    shapes = list(dict.fromkeys((timing.batch_size, timing.length) for timing in timings))
    runtimes = list(dict.fromkeys(timing.runtime for timing in timings))
    figure, axes = pyplot.subplots(1, len(shapes), figsize=(3.6 * len(shapes), 3.6), squeeze=False)
    width, names = 0.8 / len(models), display_names(models)
    for axis, shape in zip(axes[0], shapes, strict=True):
        for place, model in enumerate(models):
            rows = [timing for timing in model.latency if (timing.batch_size, timing.length) == shape]
            left = [index + width * (place - (len(models) - 1) / 2) for index in range(len(rows))]
            axis.bar(left, [timing.median_ms for timing in rows], width, label=names[place])
        axis.set_xticks(range(len(runtimes)), runtimes, fontsize=7)
        axis.set_title(f"{shape[0]} x {shape[1]}")
        axis.set_ylabel("median latency (ms)")
        axis.grid(axis="y", alpha=0.3)
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_accuracy_and_latency(
    values: Mapping[str, float], models: Sequence[BenchModel], shape: tuple[int, int], path: Path
) -> None:
    """Draws two charts into a PNG: the metric of every model, and the latency of some of them under every runtime.

    Args:
        values: model -> metric; the first is the dense one.
        models: of a benchmark with a metric, the dense one first; the metric under a runtime stands below its bars.
        shape: (batch size, length) of the latencies.
        path: of the PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    metric = (models[0].metric or "metric").replace("_", " ")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.2, 4), width_ratios=(2, 3))
    colours = [_DENSE_COLOUR, *[_COMPRESSED_COLOUR] * (len(values) - 1)]
    left.bar_label(left.bar(list(values), list(values.values()), color=colours), fmt="%.3f", fontsize=8)
    left.set_ylabel(metric)
    runtimes, width, names = list(models[0].runtimes), 0.8 / len(models), display_names(models)
    for place, model in enumerate(models):
        timings = [_timing_of(model, runtime, shape) for runtime in runtimes]
        offset = width * (place - (len(models) - 1) / 2)
        bars = right.bar(
            [index + offset for index in range(len(runtimes))],
            [timing.median_ms for timing in timings],
            width,
            label=names[place],
            color=_DENSE_COLOUR if place == 0 else f"C{place - 1}",
        )
        speedups = ["" if place == 0 or timing.speedup is None else f"\nx{timing.speedup:.1f}" for timing in timings]
        labels = [f"{timing.median_ms:.1f} ms{more}" for timing, more in zip(timings, speedups, strict=True)]
        right.bar_label(bars, labels, fontsize=8)
    ticks = [f"{runtime}\n{_scores(models, runtime)}" for runtime in runtimes]
    right.set_xticks(range(len(runtimes)), ticks, fontsize=8)
    right.set_ylabel(f"median latency (ms), {shape[0]} x {shape[1]} tokens")
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.margins(y=0.15)
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _scores(models: Sequence[BenchModel], runtime: str) -> str:
    """The metric of the models under a runtime, in their order; nothing where it was not measured."""
    values = [model.runtimes[runtime].value for model in models]
    known = [f"{value:.3f}" for value in values if value is not None]
    return f"{models[0].metric} {' / '.join(known)}".replace("_", " ") if known else ""


def check_figures() -> None:
    """Fails before any long work when figures cannot be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot_or_error()


def draw_predicted_against_measured(losses: Sequence[Any], path: Path, *, same_unit: bool) -> None:
    """Draws a point per layer, coloured by its place in the encoder layer, on logarithmic axes.

    Args:
        losses: with ``name``, ``predicted`` and ``measured`` (``bench.layer_losses.LayerLoss``).
        path: of the PNG.
        same_unit: whether predictions are in the unit of the measured losses; then the line of equals is drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot = pyplot_or_error()
    figure, axis = pyplot.subplots(figsize=(5.6, 4.6))
    groups: dict[str, list[tuple[float, float]]] = {}
    for loss in losses:
        role = ".".join(part for part in loss.name.split(".")[2:] if not part.isdigit())
        point = max(loss.predicted, SMALLEST_DRAWN), max(loss.measured, SMALLEST_DRAWN)
        groups.setdefault(role, []).append(point)
    for role, points in groups.items():
        axis.scatter(*zip(*points, strict=True), s=22, label=role)
    if same_unit and losses:
        drawn = [predicted for points in groups.values() for predicted, _ in points]
        ends = [min(drawn), max(drawn)]
        axis.plot(ends, ends, color="black", linestyle="--", linewidth=1, label="as predicted")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("predicted loss" if same_unit else "predicted loss (in the method's own measure)")
    axis.set_ylabel("measured rise of the task loss")
    axis.grid(alpha=0.3)
    if groups:
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _timing_of(model: BenchModel, runtime: str, shape: tuple[int, int]) -> BenchTiming:
    return next(
        timing for timing in model.latency if timing.runtime == runtime and (timing.batch_size, timing.length) == shape
    )


def pyplot_or_error() -> Any:
    """Matplotlib's functions, which draw into files alone.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "report") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _draw(panels: Sequence[Panel], path: Path, draw: Callable[[Any, Panel], None]) -> None:
    pyplot = pyplot_or_error()
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.6 * len(panels), 4), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        if panel.dense is not None:
            axis.axhline(panel.dense, color="black", linestyle="--", linewidth=1, label="dense")
        draw(axis, panel)
        axis.set_title(panel.title)
        axis.set_ylabel(panel.metric.replace("_", " "))
        axis.grid(alpha=0.3)
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
