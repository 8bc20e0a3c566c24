"""The section of the latencies that a checkpoint's measurements hold."""

from __future__ import annotations

from collections.abc import Iterator

from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.latency_plot import latency_figure
from fwsvd_export.report.page.latency_table import latency_table
from fwsvd_export.report.page.parts import Section
from fwsvd_export.report.page.scores import scores_of_one_task
from fwsvd_export.report.page.speed import speed_of_run


def latency_sections(facts: CheckpointFacts) -> Iterator[Section]:
    """A section per run of latencies that a checkpoint's measurements hold."""
    scores = scores_of_one_task(facts)
    for run in facts.measurements.runs:
        speed = speed_of_run(facts, run, scores)
        if speed is not None:
            figure = latency_figure(speed)
            yield Section(
                f"Latency of {facts.label}",
                paragraphs=(f"{speed.machine}. {speed.unsteady}".strip(),),
                figures=() if figure is None else (figure,),
                tables=(latency_table(speed),),
            )
