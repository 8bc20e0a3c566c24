"""Convergence of a training: the loss, and the metric with what it started from."""

from __future__ import annotations

from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import ACCENT, INK, Trace, axis, hover, layout, padded, shown
from fwsvd_export.report.page.words import score, titled
from fwsvd_export.training.curve import TrainingCurve


def training_figure(curve: TrainingCurve) -> Figure | None:
    """The figure of ``training.json``; None when it has no steps."""
    metric = titled(curve.metric)
    losses = [(step.step, step.loss) for step in curve.steps if step.loss is not None]
    values = [(step.step, step.value) for step in curve.steps if step.value is not None]
    plots = []
    if losses:
        told = [hover(f"step {step:,}", f"loss {loss:.4g}") for step, loss in losses]
        plots.append(Plot("Training loss", [_line(losses, told)], layout(axis("step"), axis("loss"))))
    if values:
        told = [hover(f"step {step:,}", f"{shown(metric)} {score(value, 4)}") for step, value in values]
        reached = padded([value for _, value in values] + [curve.start, curve.best])
        start = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": curve.start, "y1": curve.start}
        start["line"] = {"color": INK, "width": 1.5, "dash": "dash"}
        drawing = layout(axis("step"), axis(shown(metric), range=reached), shapes=[start])
        plots.append(Plot(f"{metric.capitalize()} on the validation rows", [_line(values, told)], drawing))
    summary = (
        f"Loss and {metric} by training step. The dashed line is the {metric} before training, {score(curve.start)}; "
        f"the checkpoint that was kept has {score(curve.best)}."
    )
    return Figure("Convergence", summary, tuple(plots)) if plots else None


def _line(points: list[tuple[int, float]], told: list[str]) -> Trace:
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
