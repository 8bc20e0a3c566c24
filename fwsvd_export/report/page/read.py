"""What lies in the folders that a page is made from: one record of facts per folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.result import BenchResult
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.weights import weights_digest, weights_files
from fwsvd_export.errors import ReportError
from fwsvd_export.export.record import EXPORT_AGAIN, ExportRecord
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, load_measurements
from fwsvd_export.report.compression import LOSSES_FILE
from fwsvd_export.report.losses import RecordedLosses
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, Facts, LossFacts, SweepFacts
from fwsvd_export.storage.digest import combined_sha256
from fwsvd_export.storage.file_names import COMPRESSION_FILE, EXPORT_FILE, ONNX_FOLDER, TRAINING_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.sweep.result import SweepResult
from fwsvd_export.training.record import TrainingRecord
from fwsvd_export.wording import shortest_names

RESULTS_FILE = "results.json"
KINDS = (
    f"a compressed checkpoint ({COMPRESSION_FILE}), or what bench -o ({RESULTS_FILE}), sweep -o ({RESULTS_FILE}) or "
    f"compress --report ({LOSSES_FILE}) wrote"
)
_AGAIN = "make the folder again with the command that wrote it"


def read_folders(folders: Sequence[Path], labels: Sequence[str] | None = None) -> list[Facts]:
    """The facts of every folder, in their order.

    Args:
        folders: at least one.
        labels: what they are called; None for names as short as tells them apart.

    Raises:
        ReportError: a folder is not there, is given twice, or holds nothing that a page is made of.
        FwsvdExportError: a record in one of them is damaged.
    """
    check_folders(folders)
    labels = labels or shortest_names([folder.resolve().as_posix() for folder in folders])
    return [_read(folder, label) for folder, label in zip(folders, labels, strict=True)]


def check_folders(folders: Sequence[Path]) -> None:
    """Refuses what is no folder, and a folder that is given twice, before anything in it is read.

    Raises:
        ReportError: as ``read_folders``.
    """
    seen: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ReportError(f"{folder} is not a folder; give {KINDS}")
        before = seen.setdefault(folder.resolve(), folder)
        if before is not folder:
            raise ReportError(f"{folder} is the same folder as {before}; give every folder once")


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a compressed checkpoint."""
    return (folder / COMPRESSION_FILE).is_file()


def _read(folder: Path, label: str) -> Facts:
    if is_checkpoint(folder):
        return _checkpoint(folder, label)
    if (folder / LOSSES_FILE).is_file():
        return LossFacts(label, _losses(folder))
    if not (folder / RESULTS_FILE).is_file():
        raise ReportError(f"{folder} holds nothing that a report is made of; give {KINDS}")
    document, place = _document(folder / RESULTS_FILE), str(folder / RESULTS_FILE)
    if "models" in document:
        bench = BenchResult.from_json(document, place, ReportError)
        if not bench.models:
            raise ReportError(f"{place} has no models; measure again with bench -o")
        return BenchFacts(label, bench)
    if "rows" in document:
        return SweepFacts(label, SweepResult.from_json(document, place, ReportError))
    raise ReportError(f"{place} is of another command: it has neither models nor rows; give {KINDS}")


def _document(path: Path) -> dict[str, Any]:
    return read_json(path, ReportError, remedy=_AGAIN)


def _losses(folder: Path) -> RecordedLosses:
    place = folder / LOSSES_FILE
    losses = RecordedLosses.from_json(_document(place), str(place), ReportError)
    if losses.base_model is None:
        raise ReportError(
            f"{place} does not say which model it is of, as files of earlier versions do not; compress again with "
            "--report"
        )
    return losses


def _checkpoint(folder: Path, label: str) -> CheckpointFacts:
    record, files = read_compression(folder), weights_files(folder)
    recorded = {name: file.sha256 for name, file in record.files.items()}
    sha256 = weights_digest(files) if files else combined_sha256(recorded) if recorded else None
    return CheckpointFacts(
        label=label,
        record=record,
        sha256=sha256,
        changed=bool(files and recorded) and not record.describes(folder),
        measurements=load_measurements(folder, {DENSE: record.base_digest, COMPRESSED: sha256}),
        export=_export(folder, sha256),
        training=_training(folder),
    )


def _export(folder: Path, sha256: str | None) -> ExportRecord | None:
    path = folder / ONNX_FOLDER / EXPORT_FILE
    if not path.is_file():
        return None
    export = ExportRecord.from_json(_document(path), str(path), ReportError)
    if sha256 not in (None, export.file_sha256):
        raise ReportError(f"{folder / ONNX_FOLDER} was made from other weights than the model has; {EXPORT_AGAIN}")
    return export


def _training(folder: Path) -> TrainingRecord | None:
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    return TrainingRecord.from_json(_document(path), str(path), ReportError)
