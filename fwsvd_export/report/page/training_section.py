"""The section of a training: convergence, and every evaluation."""

from __future__ import annotations

from fwsvd_export.report.page.cells import count_cell, loss_cell, metric_cell, numbers, table, texts
from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.parts import Cell, Section
from fwsvd_export.report.page.training_plot import training_figure
from fwsvd_export.report.page.words import score, titled
from fwsvd_export.training.record import TrainingRecord
from fwsvd_export.wording import counted


def training_section(facts: CheckpointFacts) -> Section | None:
    """The section of a training; None without one."""
    record = facts.training
    if record is None:
        return None
    figure = training_figure(record)
    columns = [*numbers("step", titled(record.metric), "training loss"), *texts("kept")]
    rows = [
        (
            count_cell(step.step),
            metric_cell(step.value),
            loss_cell(step.loss),
            Cell("yes" if step.step == record.best_step else ""),
        )
        for step in record.steps
    ]
    return Section(
        f"Training of {facts.label}",
        paragraphs=(f"{training_words(record)[:1].upper()}{training_words(record)[1:]}.",),
        figures=() if figure is None else (figure,),
        tables=(table("Every evaluation", columns, rows, folded=True),) if rows else (),
    )


def training_words(record: TrainingRecord) -> str:
    """How a model was trained, and what became of its metric, as a sentence says it."""
    settings, metric = record.settings, titled(record.metric)
    how = "fine-tuned on labels" if record.teacher is None else f"distilled from {record.teacher}"
    rows = f"{counted(record.examples, 'example')} of {record.data}"
    steps = f"{settings.epochs:g} epochs" if settings.epochs is not None else counted(record.planned, "step")
    rate = "" if settings.learning_rate is None else f" at a learning rate of {settings.learning_rate:g}"
    became = f"{metric} {score(record.start)} before and {score(record.best)} after it on {record.validation}"
    return f"{how}: {rows}, {steps}{rate}; {became} ({counted(record.validation_examples, 'example')})"
