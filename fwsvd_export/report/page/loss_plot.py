"""Predicted against measured loss of every layer, on logarithmic axes, with the diagonal where both have one unit."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.report.compression import COMPARABLE
from fwsvd_export.report.figures import SMALLEST_DRAWN
from fwsvd_export.report.losses import RecordedLoss, RecordedLosses
from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import INK, UNKNOWN, Layout, Trace, axis, colour, hover, layout, legend_below, shown
from fwsvd_export.report.page.roles import places_of, role_names

_MARKS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star", "hexagon", "pentagon")
_BEYOND = 1.5  # how far the diagonal reaches beyond the points, as a factor


def loss_figure(losses: RecordedLosses) -> Figure | None:
    """The figure of ``compress --report``; None without factorised layers."""
    if not losses.layers:
        return None
    same_unit = losses.method == COMPARABLE
    places = places_of(loss.name for loss in losses.layers)
    roles = list(dict.fromkeys(role for _, role in places.values()))
    marks = [
        _points(
            name, _MARKS[number % len(_MARKS)], losses, [loss for loss in losses.layers if places[loss.name][1] == role]
        )
        for number, (role, name) in enumerate(zip(roles, role_names(roles), strict=True))
    ]
    diagonal = [_diagonal(losses.layers)] if same_unit else []
    unit = "" if same_unit else " Predictions are in the method's own measure, so that only their order counts."
    line = " On the dashed line a layer costs what was predicted." if same_unit else ""
    summary = f"A point per layer, with a mark per role; both axes are logarithmic.{line}{unit}"
    return Figure("Predicted against measured loss", summary, (Plot("", [*diagonal, *marks], _layout(same_unit)),))


def _drawn(value: float) -> float:
    return max(value, SMALLEST_DRAWN)


def _points(name: str, mark: str, losses: RecordedLosses, layers: Sequence[RecordedLoss]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": shown(name),
        "x": [_drawn(loss.predicted) for loss in layers],
        "y": [_drawn(loss.measured) for loss in layers],
        "marker": {"symbol": mark, "size": 9, "color": colour(losses.method or UNKNOWN), "opacity": 0.85},
        "text": [_hover(loss) for loss in layers],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(loss: RecordedLoss) -> str:
    ratio = [f"{loss.measured / loss.predicted:.2g} times as much"] if loss.predicted > 0 else []
    numbers = [f"rank {loss.rank:,}", f"predicted {loss.predicted:.2e}", f"measured {loss.measured:.2e}"]
    return hover(shown(loss.name), *numbers, *ratio)


def _diagonal(layers: Sequence[RecordedLoss]) -> Trace:
    values = [_drawn(value) for loss in layers for value in (loss.predicted, loss.measured)]
    ends = [min(values) / _BEYOND, max(values) * _BEYOND]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "as predicted",
        "x": ends,
        "y": ends,
        "line": {"color": INK, "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }


def _layout(same_unit: bool) -> Layout:
    where = "predicted loss" if same_unit else "predicted loss (the method's own measure)"
    powers = {"type": "log", "exponentformat": "power", "dtick": 1}
    return layout(
        axis(where, **powers), axis("measured rise of the task loss", **powers),
        height=460, showlegend=True, legend=legend_below(),
    )  # fmt: skip
