"""The section of a training."""

from __future__ import annotations

from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.parts import Section
from fwsvd_export.report.page.training_plot import training_figure


def training_section(facts: CheckpointFacts) -> Section | None:
    """The section of a training; None without one."""
    figure = None if facts.curve is None else training_figure(facts.curve)
    return None if figure is None else Section(f"Training of {facts.label}", figures=(figure,))
