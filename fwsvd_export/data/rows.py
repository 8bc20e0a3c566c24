"""Which rows of which data: a local file or a data set of the Hub becomes a table."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, first_line

HELD_OUT_PART = 5  # one in so many rows is for validation when calibration would otherwise take all
HELD_OUT_ROWS = 2000  # for validation at most
# A text may be "null" or "NA"; only an empty cell is none. A row with too many cells shall not shift the columns.
_CELLS: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "index_col": False}
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", _CELLS),
    # GLUE's tab-separated files hold bare quotation marks
    ".tsv": ("csv", {**_CELLS, "delimiter": "\t", "quoting": csv.QUOTE_NONE}),
    ".parquet": ("parquet", {}),
}
# What the readers say of a file that has no rows (parquet's takes its batch size from the first row group)
_NO_ROWS = ("corresponds to no data", "BatchSize must be greater than 0")


@dataclass(frozen=True)
class DataRequest:
    """Which rows of which data.

    Attributes:
        task: the preset, with column names replaced where asked.
        file: a local file; exactly one of file and dataset is given.
        dataset: ``ID`` or ``ID:CONFIG`` on the Hub.
        split: of the dataset.
        max_samples: rows at most, chosen by the seed; None for all.
        max_length: tokens at most per example; longer ones are cut.
        batch_size: examples per batch.
        seed: of the choice of rows.
        shard: (i, n) for the i-th of n shares of the chosen rows: the rows i, i + n, i + 2n, … of them, counted from 1.
    """

    task: Task
    file: Path | None = None
    dataset: str | None = None
    split: str | None = None
    max_samples: int | None = None
    max_length: int = 128
    batch_size: int = 16
    seed: int = 0
    shard: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if (self.file is None) == (self.dataset is None):
            raise DataError("give the data as exactly one of --data FILE and --dataset ID")
        for name in ("max_samples", "max_length", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name} {value}: a whole number of at least 1 is allowed")
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise DataError(f"shard {part}/{parts}: I/N with 1 <= I <= N is allowed")

    @property
    def name(self) -> str:
        """The data's name for reports: no folders."""
        return self.file.name if self.file is not None else f"{self.dataset} ({self.split or 'train'})"


def split_rows(rows: Any, request: DataRequest) -> tuple[Any, Any]:
    """The rows for calibration, and others for validation.

    Calibration gets the ``max_samples`` that it would have without a split, or four fifths when it would have all.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(request.seed)).tolist()
    cut = request.max_samples if request.max_samples is not None and request.max_samples < len(rows) else None
    cut = len(rows) - max(1, len(rows) // HELD_OUT_PART) if cut is None else cut
    return rows.select(sorted(order[:cut])), rows.select(sorted(order[cut : cut + HELD_OUT_ROWS]))


def read_rows(request: DataRequest) -> Any:
    """The rows as a ``datasets.Dataset``; a local file is read into memory and leaves nothing in a cache.

    Raises:
        DataError: the data is missing, empty, of an unknown kind or malformed.
    """
    import datasets

    datasets.disable_progress_bars()
    if request.dataset is not None:
        identifier, _, configuration = request.dataset.partition(":")
        try:
            return datasets.load_dataset(identifier, configuration or None, split=request.split or "train")
        except Exception as error:  # the Hub's client and the readers raise many kinds
            raise DataError(f"dataset {request.dataset} cannot be read: {first_line(error)}") from error
    assert request.file is not None, "the request has a file or a dataset"
    if not request.file.is_file():
        raise DataError(f"data file {request.file} does not exist")
    if request.file.stat().st_size == 0:
        raise DataError(f"{request.file} is empty: at least one row is needed")
    if request.file.suffix not in _READERS:
        raise DataError(f"{request.file}: a file that ends in {', '.join(_READERS)} is needed")
    reader, options = _READERS[request.file.suffix]
    with tempfile.TemporaryDirectory(prefix="fwsvd-export-data-") as cache:
        try:
            return datasets.load_dataset(
                reader, data_files=str(request.file), split="train", cache_dir=cache, keep_in_memory=True, **options
            )
        except Exception as error:  # the readers raise pyarrow's, pandas' and their own
            cause = error.__cause__ or error
            if any(words in str(cause) for words in _NO_ROWS):
                raise DataError(f"{request.file} is empty: at least one row is needed") from error
            raise DataError(f"{request.file} cannot be read as {reader}: {first_line(cause)}") from error
