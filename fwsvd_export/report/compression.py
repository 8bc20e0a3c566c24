"""The report of one compression: what was predicted for each layer, what it really costs, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import MissingExtraError
from fwsvd_export.report.figures import draw_predicted_against_measured
from fwsvd_export.report.losses import RecordedLoss, RecordedLosses
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.record import CompressionRecord
    from fwsvd_export.evaluation.layer_losses import LayerLoss, LayerLosses

FIGURE, LOSSES_FILE = "losses.png", "losses.json"
COMPARABLE = "kfac"  # its predictions are rises of the task loss; the other methods' are in units of their own
# Spearman's rank correlation below which the order of the layers, which is all that greedy ranks use, is doubtful
DOUBTFUL = 0.5


def write_report(
    folder: Path, record: CompressionRecord, losses: LayerLosses, overwrite: bool = False
) -> dict[str, Any]:
    """A Markdown page, a figure and ``losses.json`` in a folder; returns the content of the last.

    Args:
        folder: written atomically.
        record: how the model was made.
        losses: predicted and measured, of every factorised layer.
        overwrite: replace the folder.

    Raises:
        MissingExtraError: matplotlib or SciPy is not installed.
        OutputError: the folder exists, or the disk is full.
    """
    recorded = RecordedLosses(
        rank_correlation=rank_correlation(losses.layers),
        layers=tuple(RecordedLoss(**asdict(layer)) for layer in losses.layers),
        examples=losses.examples,
        base_model=record.base_model,
        base_sha256=record.base_digest,
        method=record.method,
    )
    content = recorded.to_json()
    with atomic_output(folder, overwrite) as place:
        place.mkdir()
        draw_predicted_against_measured(losses.layers, place / FIGURE, same_unit=record.method == COMPARABLE)
        write_json(place / LOSSES_FILE, content)
        (place / "report.md").write_text(_page(record, content, losses.layers), encoding="utf-8")
    return content


def rank_correlation(losses: Sequence[LayerLoss]) -> float | None:
    """Spearman's correlation of predicted and measured losses; None with fewer than three different ones."""
    try:
        from scipy.stats import spearmanr
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "train") from error
    predicted, measured = [loss.predicted for loss in losses], [loss.measured for loss in losses]
    if min(len(set(predicted)), len(set(measured))) < 3:
        return None
    return float(spearmanr(predicted, measured).statistic)


def verdict(losses: Sequence[LayerLoss | RecordedLoss], agreement: float | None, same_unit: bool) -> str:
    """One or two sentences on whether the predictions can be trusted.

    Args:
        losses: of the factorised layers.
        agreement: their rank correlation.
        same_unit: whether predictions are rises of the task loss, so that ratios mean something.
    """
    if agreement is None:
        return "Too few layers are factorised to say whether the predictions can be trusted."
    if agreement < DOUBTFUL:
        found = (
            f"The predictions order the layers badly (rank correlation {agreement:.2f}): do not trust them; more "
            "calibration data or --allocate uniform may do better."
        )
    else:
        found = f"The predictions order the layers usefully (rank correlation {agreement:.2f})."
    ratios = sorted(loss.measured / loss.predicted for loss in losses if loss.predicted > 0)
    if same_unit and ratios:
        found += (
            f" Measured losses are {ratios[0]:.2g} to {ratios[-1]:.2g} times the predicted ones "
            f"(median {median(ratios):.2g})."
        )
    return found


def _page(record: CompressionRecord, content: Mapping[str, Any], losses: Sequence[LayerLoss]) -> str:
    parameters = record.parameters
    ratio = 100 * parameters.linear_compressed / parameters.linear_dense
    trust = verdict(losses, content["rank_correlation"], record.method == COMPARABLE)
    lines = [
        f"# {record.base_model}, compressed with {record.method}, {record.allocate} ranks",
        "",
        f"{parameters.linear_compressed:,} of {counted(parameters.linear_dense, 'linear weight')} ({ratio:.1f} %), "
        f"{parameters.total_compressed:,} of {counted(parameters.total_dense, 'parameter')}.",
        "",
        f"{trust} Measured: the mean rise of the task loss on {counted(content['examples'], 'calibration example')} "
        "when this layer alone is replaced, before reconstruction.",
        "",
        f"![Predicted against measured loss per layer]({FIGURE})",
        "",
        "| layer | rank | predicted loss | measured loss |",
        "|---|---|---|---|",
    ]
    rows = [f"| {loss.name} | {loss.rank} | {loss.predicted:.3g} | {loss.measured:.3g} |" for loss in losses]
    return "\n".join([*lines, *rows, ""])
