"""The section of ``compress --report``: predicted against measured loss of every layer."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.report.compression import COMPARABLE, verdict
from fwsvd_export.report.losses import RecordedLoss, RecordedLosses
from fwsvd_export.report.page.cells import EMPTY, count_cell, decimal_cell, loss_cell, numbers, table, texts
from fwsvd_export.report.page.facts import LossFacts
from fwsvd_export.report.page.loss_plot import loss_figure
from fwsvd_export.report.page.parts import Cell, Picture, Section, Table
from fwsvd_export.wording import counted


def losses_section(facts: LossFacts, title: str = "Layer losses", pictures: Sequence[Picture] = ()) -> Section:
    """The section of one folder.

    Args:
        facts: of the folder.
        title: above it.
        pictures: PNGs in it.
    """
    losses, figure = facts.losses, loss_figure(facts.losses)
    trust = verdict(losses.layers, losses.rank_correlation, losses.method == COMPARABLE)
    measured = (
        f"Measured is the mean rise of the task loss on {counted(losses.examples, 'calibration example')} when one "
        "layer alone is replaced, before reconstruction."
    )
    return Section(
        title,
        paragraphs=(trust, measured),
        figures=() if figure is None else (figure,),
        pictures=tuple(pictures),
        tables=(_layers(losses),) if losses.layers else (),
    )


def _layers(losses: RecordedLosses) -> Table:
    columns = [*texts("layer"), *numbers("rank", "predicted loss", "measured loss", "measured / predicted")]
    rows = [_row(loss, losses.method == COMPARABLE) for loss in losses.layers]
    return table("Every layer", columns, rows, folded=True)


def _row(loss: RecordedLoss, same_unit: bool) -> tuple[Cell, ...]:
    ratio = decimal_cell(loss.measured / loss.predicted, 2) if same_unit and loss.predicted > 0 else EMPTY
    return Cell(loss.name), count_cell(loss.rank), loss_cell(loss.predicted), loss_cell(loss.measured), ratio
