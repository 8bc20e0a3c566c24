"""Metric against size: a panel per training state, a line per method, the spread over seeds, dense as a dashed line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fwsvd_export.hub.card.markdown import one_line
from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import INK, Layout, Trace, axis, colour, hover, layout, padded, shown, spread, symbol
from fwsvd_export.report.page.sizes import SizeCell
from fwsvd_export.report.page.words import joined, percent, score, signed, titled
from fwsvd_export.sweep.result import TRAININGS
from fwsvd_export.wording import counted

STATES = {"none": "not trained", "finetuned": "fine-tuned", "distilled": "distilled"}
_SMALLEST_SHARE = 1e-4
_MOST_TICKS = 6


def size_figure(cells: Sequence[SizeCell], metric: str, dense: float | None) -> Figure:
    """The figure of a sweep.

    Args:
        cells: at least one.
        metric: name of the task's metric.
        dense: the dense model's value.
    """
    methods = tuple(dict.fromkeys(cell.method for cell in cells))
    states = [state for state in TRAININGS if any(cell.training == state for cell in cells)]
    reached = [value for cell in cells for value in cell.values] + ([] if dense is None else [dense])
    ranges = {"y": padded(reached), "x": padded([math.log10(_kept(cell)) for cell in cells])}
    plots = tuple(
        Plot(
            STATES[state].capitalize(),
            [_line(method, [cell for cell in cells if (cell.method, cell.training) == (method, state)], metric, dense)
             for method in methods],
            _layout(metric, dense, ranges, cells),
        )
        for state in states
    )  # fmt: skip
    seeds = max(len(cell.values) for cell in cells)
    bars = f"; bars reach from the lowest to the highest of {counted(seeds, 'seed')}" if seeds > 1 else ""
    where = f", models {joined([STATES[state] for state in states])}" if len(states) > 1 else ""
    summary = f"{titled(metric).capitalize()} against size for {joined(list(map(_named, methods)))}{where}{bars}."
    dashed = "" if dense is None else f" The dashed line is the dense model's {score(dense)}."
    return Figure(f"{titled(metric).capitalize()} against size", summary + dashed, plots, series=methods)


def _named(method: str) -> str:
    return method[:40]


def _line(method: str, cells: Sequence[SizeCell], metric: str, dense: float | None) -> Trace:
    """The trace of a method in one panel, from the smallest model to the largest."""
    ordered = sorted(cells, key=lambda cell: cell.share)
    spreads = [spread(cell.values, cell.value) for cell in ordered]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": shown(method),
        "meta": {"series": one_line(method)},
        "x": [_kept(cell) for cell in ordered],
        "y": [cell.value for cell in ordered],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [above for above, _ in spreads],
            "arrayminus": [below for _, below in spreads],
            "visible": any(len(cell.values) > 1 for cell in ordered),
            "thickness": 1.5,
            "width": 4,
            "color": colour(method),
        },
        "line": {"color": colour(method), "width": 2},
        "marker": {"color": colour(method), "symbol": symbol(method), "size": 9},
        "text": [_hover(cell, metric, dense) for cell in ordered],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _kept(cell: SizeCell) -> float:
    """The share in percent, as a logarithmic axis takes it."""
    return 100 * max(cell.share, _SMALLEST_SHARE)


def _ticks(cells: Sequence[SizeCell]) -> Layout:
    """The sizes themselves where there are few."""
    sizes = {percent(cell.share): _kept(cell) for cell in cells}
    if len(sizes) > _MOST_TICKS:
        return {"dtick": "D2"}
    return {"tickvals": list(sizes.values()), "ticktext": [words.removesuffix(" %") for words in sizes]}


def _hover(cell: SizeCell, metric: str, dense: float | None) -> str:
    lines = [f"{shown(titled(metric))} {score(cell.value, 4)}"]
    if len(cell.values) > 1:
        lines.append(f"{len(cell.values)} seeds: {score(min(cell.values), 4)} to {score(max(cell.values), 4)}")
    if dense is not None:
        lines.append(f"against dense {signed(cell.value - dense, 4)}")
    if cell.interval is not None:
        confidence, low, high = cell.interval
        lines.append(f"{percent(confidence)}: {signed(low, 4)} to {signed(high, 4)}")
    return hover(f"{shown(cell.method)}, {percent(cell.share)} of the linear weights", *lines)


def _layout(metric: str, dense: float | None, ranges: dict[str, list[float]], cells: Sequence[SizeCell]) -> Layout:
    x = axis("encoder linear weights kept (%), logarithmic", type="log", range=ranges["x"], **_ticks(cells))
    y = axis(shown(titled(metric)), range=ranges["y"])
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": dense, "y1": dense}
    line["line"] = {"color": INK, "width": 1.5, "dash": "dash"}
    return layout(x, y, shapes=[] if dense is None else [line])
