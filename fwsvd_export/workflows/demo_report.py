"""The cards of the demo's compressed models, with what was measured of each, and the page about all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fwsvd_export.benchmark.runtimes import TORCH
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.weights import required_weights_files, weights_digest
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Measurements, Score, ScoreEnvironment
from fwsvd_export.hub.card.write import write_card
from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.write import write_page
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.file_names import MEASUREMENTS_FILE, REPORT_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.workflows.demo_assets import TASK

_PAGE_LABEL = "demo"  # what the page calls the benchmark


@dataclass(frozen=True)
class Measured:
    """How the accuracies of the demo were measured under torch: name of the data, sentences, and machine."""

    data: str
    examples: int
    environment: Environment


def write_demo_report(
    folder: Path, accuracies: Mapping[str, float], measured: Measured, benchmark: Mapping[str, Path]
) -> None:
    """Writes the cards, and ``report.html`` from the folder's benchmark and its compressed models.

    Args:
        folder: with a folder per model.
        accuracies: model -> accuracy, the dense model's first.
        measured: how.
        benchmark: model -> results of the benchmark that timed it, of those that were timed.
    """
    dense, *compressed = accuracies
    for name in compressed:
        if name not in benchmark:
            models = {DENSE: dense, COMPRESSED: name}
            scores = (_score(role, folder / model, accuracies[model], measured) for role, model in models.items())
            write_json(folder / name / MEASUREMENTS_FILE, Measurements(scores=tuple(scores)).to_json())
        write_card(folder / name, read_compression(folder / name), [benchmark[name]] if name in benchmark else [])
    page = build_page([folder, *(folder / name for name in compressed)], [_PAGE_LABEL, *compressed])
    write_page(page, folder / REPORT_FILE)


def _score(role: str, model: Path, accuracy: float, measured: Measured) -> Score:
    return Score(
        model=role,
        sha256=weights_digest(required_weights_files(model)),
        task=TASK.name,
        data=measured.data,
        runtime=TORCH,
        metric="accuracy",
        value=accuracy,
        beside={},
        examples=measured.examples,
        environment=ScoreEnvironment(**vars(measured.environment)),
    )
