"""Convergence of a training: the loss, and the metric with what it started from."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import ACCENT, INK, Trace, axis, hover, layout, padded, shown
from fwsvd_export.report.page.words import score, titled
from fwsvd_export.training.record import TrainingRecord


def training_figure(record: TrainingRecord) -> Figure | None:
    """The figure of ``training.json``; None when it has no steps."""
    if not record.steps:
        return None
    metric = titled(record.metric)
    plots = [_metric_plot(record, metric)]
    losses = [(step.step, step.loss) for step in record.steps if step.loss is not None]
    if losses:
        told = [hover(f"step {step:,}", f"loss {loss:.4g}") for step, loss in losses]
        plots.insert(0, Plot("Training loss", [_line(losses, told)], layout(axis("step"), axis("loss"))))
    summary = (
        f"Loss and {metric} by training step. The dashed line is the {metric} before training, {score(record.start)}; "
        f"the weights that were kept have {score(record.best)}."
    )
    return Figure("Convergence", summary, tuple(plots))


def _metric_plot(record: TrainingRecord, metric: str) -> Plot:
    values = [(step.step, step.value) for step in record.steps]
    told = [hover(f"step {step:,}", f"{shown(metric)} {score(value, 4)}") for step, value in values]
    reached = padded([*(value for _, value in values), record.start, record.best])
    start = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": record.start, "y1": record.start}
    start["line"] = {"color": INK, "width": 1.5, "dash": "dash"}
    drawing = layout(axis("step"), axis(shown(metric), range=reached), shapes=[start])
    return Plot(f"{metric.capitalize()} on {record.validation}", [_line(values, told)], drawing)


def _line(points: Sequence[tuple[int, float]], told: list[str]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [step for step, _ in points],
        "y": [value for _, value in points],
        "line": {"color": ACCENT, "width": 2},
        "marker": {"color": ACCENT, "size": 6},
        "text": told,
        "hovertemplate": "%{text}<extra></extra>",
    }
