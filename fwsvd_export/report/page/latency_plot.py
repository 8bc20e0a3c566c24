"""Latency against metric with the Pareto front: a point per model and runtime, one drawing per shape."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.report.page.labels import placed
from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import (
    FAINT,
    INK,
    SURFACE,
    Trace,
    axis,
    colour,
    hover,
    layout,
    legend_below,
    padded,
    shown,
)
from fwsvd_export.report.page.timings import Shape, Speed, Timing
from fwsvd_export.report.page.words import faster, score, titled

# A mark and a line per runtime: colours are the methods'
_MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
_LINES = ("solid", "dot", "dashdot", "dash", "longdash", "longdashdot")
_LONGEST_NAME = 20  # characters beside a point; the label on hover has more
_BEYOND = 1.12  # how far the axis reaches beyond the slowest, as a factor


def latency_figure(speed: Speed) -> Figure | None:
    """The figure of a bench; None when nothing was scored."""
    scored = [timing for timing in speed.timings if timing.value is not None]
    if not scored or speed.metric is None:
        return None
    metric = titled(speed.metric)
    shapes = sorted(speed.shapes, key=lambda shape: shape != speed.shape)  # the one of the headline first
    drawn = [(shape, found) for shape in shapes if (found := [row for row in scored if row.shape == shape])]
    plots = tuple(_plot(shape, timings, metric) for shape, timings in drawn)
    summary = (
        f"{metric.capitalize()} against the median latency of one call, a point per model and runtime. On the wide "
        "grey line, the Pareto front, lie those that nothing else beats in both. Up and left is better."
    )
    return Figure(f"{metric.capitalize()} against latency", summary, plots, choice="Batch × tokens")


def _plot(shape: Shape, timings: Sequence[Timing], metric: str) -> Plot:
    ends = [0.0, _BEYOND * max(timing.median_ms for timing in timings) or 1.0], padded(map(_value, timings), 0.16)
    points = [(timing.median_ms, _value(timing)) for timing in timings]
    places = placed(points, [_name(timing) for timing in timings], *ends)
    runtimes = list(dict.fromkeys(timing.runtime for timing in timings))
    traces = [
        _runtime(
            number, [(row, place) for row, place in zip(timings, places, strict=True) if row.runtime == name], metric
        )
        for number, name in enumerate(runtimes)
    ]
    x, y = axis("median latency (ms)", range=ends[0]), axis(shown(metric), range=ends[1])
    drawing = layout(x, y, height=440, showlegend=True, legend=legend_below())
    return Plot(f"{shape[0]:,} × {shape[1]:,}", [_front(timings), *traces], drawing)


def _name(timing: Timing) -> str:
    return shown(timing.model, _LONGEST_NAME)


def _value(timing: Timing) -> float:
    return timing.value or 0.0  # only what was scored is drawn


def _front(timings: Sequence[Timing]) -> Trace:
    front = sorted((timing for timing in timings if timing.front), key=lambda timing: timing.median_ms)
    return {
        "type": "scatter",
        "mode": "lines+markers",  # a front may be one point
        "name": "Pareto front",
        "x": [timing.median_ms for timing in front],
        "y": [_value(timing) for timing in front],
        "line": {"color": INK, "width": 9, "shape": "hv"},
        "marker": {"color": INK, "size": 22},
        "opacity": 0.16,
        "hoverinfo": "skip",
    }


def _runtime(number: int, placed_timings: Sequence[tuple[Timing, str]], metric: str) -> Trace:
    """The points of one runtime, from the slowest to the fastest, with the places of their names."""
    ordered = sorted(placed_timings, key=lambda found: -found[0].median_ms)
    mine = [timing for timing, _ in ordered]
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": shown(mine[0].runtime),
        "x": [timing.median_ms for timing in mine],
        "y": [_value(timing) for timing in mine],
        "line": {"color": FAINT, "width": 1, "dash": _LINES[number % len(_LINES)]},
        "marker": {
            "symbol": _MARKS[number % len(_MARKS)],
            "size": 11,
            "color": [colour(timing.method) for timing in mine],
            "line": {"color": SURFACE, "width": 1},
        },
        "text": [_name(timing) for timing in mine],
        "textposition": [place for _, place in ordered],
        "textfont": {"size": 11, "color": INK},
        "cliponaxis": False,
        "customdata": [_hover(timing, metric) for timing in mine],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _hover(timing: Timing, metric: str) -> str:
    lines = [
        f"median {timing.median_ms:.1f} ms, 90th percentile {timing.p90_ms:.1f} ms",
        f"{shown(metric)} {score(_value(timing), 4)}",
    ]
    if timing.speedup is not None and not timing.dense:
        lines.append(f"{faster(timing.speedup)} in {shown(timing.runtime)}")
    return hover(f"{shown(timing.model)}, {shown(timing.runtime)}", *lines)
