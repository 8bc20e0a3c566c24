"""The statistics of a sweep: collected once for a choice of rows, for every method that needs them, and kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.data.batches import Batches
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.records import LayerStatistics, Statistics
from fwsvd_export.runtime.device import release_freed_memory
from fwsvd_export.runtime.progress import Steps
from fwsvd_export.storage.locks import exclusive
from fwsvd_export.workflows.fisher import reads_labels, statistics_of

if TYPE_CHECKING:
    from fwsvd_export.workflows.sweep_data import SweepData

# Collection -> what it is of a layer's statistics. Rows are added up from elements where both are collected, so they
# are written first: a run that goes on where another was killed then adds up the same numbers.
_FIELDS = {
    "row": ("row_input", "row_output"),
    "kfac": ("input_gram", "gradient_gram"),
    "element": ("element",),
}


class SweepStatistics:
    """Statistics and calibration rows, by seed.

    Args:
        checkpoint: the dense model.
        data: the rows.
        labels: source of the labels.
        temperature: of the predictions.
        steps: progress.
    """

    def __init__(self, checkpoint: Checkpoint, data: SweepData, labels: str, temperature: float, steps: Steps) -> None:
        self._checkpoint = checkpoint
        self._data = data
        self._labels, self._temperature = labels, temperature
        self._steps = steps
        self._calibration: tuple[int, Batches] | None = None

    def calibration(self, seed: int) -> Batches:
        """The rows of a seed; those of one seed are held."""
        if self._calibration is None or self._calibration[0] != seed:
            labelled = reads_labels(self._checkpoint.encoder, self._labels, self._data.request.task)
            self._calibration = seed, self._data.calibration(seed, labelled)
        return self._calibration[1]

    def of(self, seed: int, folder: Path, collection: str, others: Iterable[str]) -> Statistics:
        """The statistics of a seed that one method needs, from a file in the folder.

        Args:
            seed: chooses the rows.
            folder: of these rows; one process at a time collects into it.
            collection: that is needed now.
            others: that will be needed too, and are collected in the same pass where they are not there.
        """
        with exclusive(folder):
            if not _file(folder, collection).is_file():
                asked = {collection, *others}
                missing = tuple(name for name in _FIELDS if name in asked and not _file(folder, name).is_file())
                self._collect(seed, folder, missing)
        return load_statistics(_file(folder, collection))

    def _collect(self, seed: int, folder: Path, missing: tuple[str, ...]) -> None:
        statistics = statistics_of(
            self._checkpoint,
            replace(self._data.request, seed=seed),
            self.calibration(seed),
            missing,
            self._labels,
            self._temperature,
            self._steps,
            samples=False,
        )
        for name in missing:
            save_statistics(_part(statistics, name), _file(folder, name), overwrite=True)
        release_freed_memory()


def _file(folder: Path, collection: str) -> Path:
    return folder / f"{collection}.safetensors"


def _part(statistics: Statistics, collection: str) -> Statistics:
    """One collection of several."""
    layers = {
        name: LayerStatistics(**{field: getattr(sums, field) for field in _FIELDS[collection]})
        for name, sums in statistics.layers.items()
    }
    return replace(statistics, layers=layers, collected=(collection,))
