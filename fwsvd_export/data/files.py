"""A local file or folder becomes rows, by the reader of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fwsvd_export.data.conll import conll_table
from fwsvd_export.data.delimited import COMMA, TAB, delimited_table
from fwsvd_export.data.folders import read_folder
from fwsvd_export.data.json_rows import json_table
from fwsvd_export.data.line_table import LARGE, LineTable, line_table
from fwsvd_export.data.table import Table
from fwsvd_export.data.tasks import Task
from fwsvd_export.data.text import COMPRESSIONS, read_text
from fwsvd_export.errors import DataError, message_of, shown
from fwsvd_export.storage.temporary import scratch_folder

PARQUET = ".parquet"
_JSON = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": COMMA, ".tsv": TAB}
_CONLL = (".conll", ".tsv", ".txt")
# Kinds that hold rows and are not read -> what to do
_ADVICE = {
    ".zip": "unpack the archive and give the file inside",
    ".tar": "unpack the archive and give the file inside",
    ".tgz": "unpack the archive and give the file inside",
    ".xlsx": "save the sheet as CSV in UTF-8",
    ".xls": "save the sheet as CSV in UTF-8",
    ".arrow": "give the folder that save_to_disk wrote",
}
# What the parquet reader says of a file without rows: it takes its batch size from the first row group
_NO_ROWS = "BatchSize must be greater than 0"


def read_file(file: Path, task: Task, split: str | None = None) -> Any:
    """The rows of a file as a ``Table``; those of parquet and of a folder as a ``datasets.Dataset``.

    JSON lines of ``LARGE`` bytes and more stay in their file (``LineTable``).

    Args:
        file: its name, without the ending of a compression, ends in the kind.
        task: token labels may come as CoNLL; a table of texts has no lists of words.
        split: of a folder of several.

    Raises:
        DataError: the file is missing, empty, of an unknown kind or malformed.
    """
    _check_place(file)
    if file.is_dir():
        return read_folder(file, split)
    if split is not None:
        raise DataError(
            f"split {shown(split)} is given, and {file} is one file, which has no splits; leave --split out"
        )
    kind, table_of = _kind_of(file), _readers(task)
    if kind not in table_of:
        advice = _ADVICE.get(file.suffix.lower()) or _ADVICE.get(kind)
        raise DataError(
            f"{file}: {advice}"
            if advice
            else f"{file}: a file that ends in {', '.join(table_of)} is needed"
            f"{' for token labels' if task.labels == 'tokens' else ''}, compressed ones with "
            f"{', '.join(COMPRESSIONS)} behind it"
        )
    return table_of[kind](file)


def _check_place(file: Path) -> None:
    if str(file) == "-" or (file.exists() and not file.is_file() and not file.is_dir()):
        raise DataError(
            f"data {file} is not a file or a folder, and rows are read from these alone, as they may be read more than "
            "once; write the rows to a file, as rows.jsonl"
        )
    if not file.exists():
        raise DataError(
            f"data file {file} does not exist; give the path of a file or of a folder with a saved data set"
        )
    if file.is_file() and file.stat().st_size == 0:
        raise DataError(f"{file} is empty: at least one row is needed")


def _kind_of(file: Path) -> str:
    name = file.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return Path(name).suffix


def _readers(task: Task) -> dict[str, Callable[[Path], Any]]:
    """Kind of file -> its reader, for a task's labels."""
    whole = task.labels in ("span", "retrieval", "rank")  # their rows are looked up in one another
    readers: dict[str, Callable[[Path], Any]] = dict.fromkeys(_JSON, _json if whole else _json_lines)
    if task.labels == "tokens":
        columns = (task.text, task.label or "")
        readers |= dict.fromkeys(_CONLL, lambda file: conll_table(read_text(file), file, columns))
    else:
        readers |= dict.fromkeys(_DELIMITERS, _delimited)
    return readers | {PARQUET: _parquet}


def _json(file: Path) -> Table:
    return json_table(read_text(file), file)


def _json_lines(file: Path) -> Table | LineTable:
    large = line_table(file) if file.stat().st_size >= LARGE else None
    return _json(file) if large is None else large


def _delimited(file: Path) -> Table:
    return delimited_table(read_text(file), file, _DELIMITERS[_kind_of(file)])


def _parquet(file: Path) -> Any:
    import datasets

    if file.suffix.lower() != PARQUET:
        raise DataError(f"{file}: parquet files are compressed inside; decompress it")
    with scratch_folder("data") as cache:
        try:
            return datasets.load_dataset(
                "parquet", data_files=str(file), split="train", cache_dir=str(cache), keep_in_memory=True
            )
        except Exception as error:  # the reader raises pyarrow's errors and its own
            cause = error.__cause__ or error
            if _NO_ROWS in str(cause):
                raise DataError(f"{file} is empty: at least one row is needed") from error
            raise DataError(
                f"{file} cannot be read as parquet: {message_of(cause)}; it is damaged or of another kind than its "
                "name says"
            ) from error
