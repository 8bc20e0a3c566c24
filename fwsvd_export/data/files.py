"""A local file becomes a table, read by the data sets library."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from fwsvd_export.errors import DataError, message_of

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


def read_file(file: Path) -> Any:
    """The rows of a file as a ``datasets.Dataset``, in memory; nothing is left in a cache.

    Raises:
        DataError: the file is missing, empty, of an unknown kind or malformed.
    """
    import datasets

    if not file.is_file():
        raise DataError(f"data file {file} does not exist")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty: at least one row is needed")
    if file.suffix not in _READERS:
        raise DataError(f"{file}: a file that ends in {', '.join(_READERS)} is needed")
    reader, options = _READERS[file.suffix]
    with tempfile.TemporaryDirectory(prefix="fwsvd-export-data-") as cache:
        try:
            return datasets.load_dataset(
                reader, data_files=str(file), split="train", cache_dir=cache, keep_in_memory=True, **options
            )
        except Exception as error:  # the readers raise pyarrow's, pandas' and their own
            cause = error.__cause__ or error
            if any(words in str(cause) for words in _NO_ROWS):
                raise DataError(f"{file} is empty: at least one row is needed") from error
            raise DataError(f"{file} cannot be read as {reader}: {message_of(cause)}") from error
