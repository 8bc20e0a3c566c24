"""Task data becomes masked batches: rows are read and checked, tokenised, sorted by length and padded."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DataCollatorWithPadding

from fwsvd_export.errors import CheckpointError, DataError, first_line, is_failure
from fwsvd_export.tasks import Task

HELD_OUT_PART = 5  # one in so many rows is for validation when calibration would otherwise take all
HELD_OUT_ROWS = 2000  # for validation at most
IGNORED_LABEL = -100  # transformers' mark for tokens without a label
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
    """

    task: Task
    file: Path | None = None
    dataset: str | None = None
    split: str | None = None
    max_samples: int | None = None
    max_length: int = 128
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.file is None) == (self.dataset is None):
            raise DataError("give the data as exactly one of --data FILE and --dataset ID")
        for name in ("max_samples", "max_length", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name} {value}: a whole number of at least 1 is allowed")

    @property
    def name(self) -> str:
        """The data's name for reports: no folders."""
        return self.file.name if self.file is not None else f"{self.dataset} ({self.split or 'train'})"


class Batches(Sequence[dict[str, Tensor]]):
    """Padded batches of encoded examples, the longest examples together; padding is done when a batch is taken."""

    def __init__(self, encoded: list[dict[str, Any]], tokenizer: Any, batch_size: int) -> None:
        self._encoded = sorted(encoded, key=lambda row: len(row["input_ids"]))
        self._pad = DataCollatorWithPadding(tokenizer)
        self._batch_size = batch_size
        self.examples = len(encoded)

    def without(self, others: Batches) -> Batches:
        """The examples whose tokens are not also those of an example of others, in batches of the same size."""
        seen = {tuple(row["input_ids"]) for row in others._encoded}
        left = [row for row in self._encoded if tuple(row["input_ids"]) not in seen]
        return Batches(left, self._pad.tokenizer, self._batch_size)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._encoded[index * self._batch_size : (index + 1) * self._batch_size]
        labels = [row["labels"] for row in rows if "labels" in row]
        inputs = [{name: value for name, value in row.items() if name != "labels"} for row in rows]
        batch = dict(self._pad(inputs))
        if labels and isinstance(labels[0], list):
            width = batch["input_ids"].shape[1]
            labels = [row + [IGNORED_LABEL] * (width - len(row)) for row in labels]
        if labels:
            batch["labels"] = torch.tensor(labels)
        return batch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[index] for index in range(len(self)))


def load_batches(request: DataRequest, tokenizer: Any, config: Any) -> Batches:
    """Reads, checks and tokenises the rows that were asked for.

    Args:
        request: which rows.
        tokenizer: the model's.
        config: the model's configuration; its labels are what the data's are checked against.

    Raises:
        DataError: missing or empty data, a column that is not there, or a label the model does not know.
    """
    return encode_rows(read_rows(request), request, tokenizer, config)


def encode_rows(rows: Any, request: DataRequest, tokenizer: Any, config: Any) -> Batches:
    """Checks and tokenises a ``datasets.Dataset``; raises as ``load_batches``."""
    task = request.task
    if len(rows) == 0:
        raise DataError(f"{request.name} is empty: at least one row is needed")
    wanted = [column for column in (task.text, task.text_pair, task.label) if column is not None]
    absent = [column for column in wanted if column not in rows.column_names]
    if absent:
        raise DataError(
            f"{request.name} has no column {absent[0]!r}; it has {', '.join(rows.column_names)}: "
            "name the right ones with --text-column, --text-pair-column and --label-column"
        )
    if request.max_samples is not None and request.max_samples < len(rows):
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(request.seed))
        rows = rows.select(sorted(chosen[: request.max_samples].tolist()))
    columns = {column: rows[column][:] for column in wanted}
    _check_texts(columns, task, request.name)
    length = min(request.max_length, getattr(config, "max_position_embeddings", request.max_length))
    options = {"truncation": True, "max_length": length}
    if task.labels == "tokens":
        return Batches(
            _encode_words(columns, task, tokenizer, config, request.name, options), tokenizer, request.batch_size
        )
    pair = [columns[task.text_pair]] if task.text_pair is not None else []
    encoding = _encoding(tokenizer, [columns[task.text], *pair], config, request.name, options)
    encoded: list[dict[str, Any]] = [
        {name: values[index] for name, values in encoding.items()} for index in range(len(columns[task.text]))
    ]
    if task.label is not None:
        read = _number if task.labels == "number" else _class
        for index, (row, value) in enumerate(zip(encoded, columns[task.label], strict=True)):
            row["labels"] = read(value, config, f"{request.name}, row {index + 1}")
    return Batches(encoded, tokenizer, request.batch_size)


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


def _check_texts(columns: dict[str, list[Any]], task: Task, name: str) -> None:
    kind: type = list if task.labels == "tokens" else str
    for column in (task.text, task.text_pair):
        for index, value in enumerate(columns[column] if column is not None else []):
            if not isinstance(value, kind):
                what = "a list of words" if kind is list else "a text"
                raise DataError(f"{name}, row {index + 1}: column {column!r} holds {value!r}, {what} is needed")


def _number(value: Any, config: Any, where: str) -> float:
    if config.num_labels != 1:
        raise DataError(
            f"the task has numbers for labels, and the model has {config.num_labels} classes; choose another task"
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: label {value!r} is not a finite number, which this task needs")
    return number


def _class(value: Any, config: Any, where: str) -> int:
    """A class number, from a number or from a name that the model's ``label2id`` has."""
    if isinstance(value, str) and value in (config.label2id or {}):
        value = int(config.label2id[value])
    whole = isinstance(value, Real) and math.isfinite(value) and float(value).is_integer()
    if not whole or not 0 <= int(value) < config.num_labels:
        names = ", ".join(str(name) for name in (config.label2id or {}))
        raise DataError(
            f"{where}: label {value!r} is not one of the model's {config.num_labels} classes "
            f"(0 to {config.num_labels - 1}, or {names})"
        )
    return int(value)


def _encode_words(
    columns: dict[str, list[Any]], task: Task, tokenizer: Any, config: Any, name: str, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Words and their labels; the first piece of each word carries its label, the other pieces none."""
    options = {**options, "is_split_into_words": True}
    encoding = _encoding(tokenizer, [columns[task.text]], config, name, options)
    encoded: list[dict[str, Any]] = []
    for index, words in enumerate(columns[task.text]):
        row = {key: values[index] for key, values in encoding.items()}
        if task.label is not None:
            where = f"{name}, row {index + 1}"
            tags = columns[task.label][index]
            if not isinstance(tags, list) or len(tags) != len(words):
                raise DataError(f"{where}: one label per word is needed ({len(words)} words)")
            numbers = [_class(tag, config, where) for tag in tags]
            row["labels"] = _first_pieces(encoding.word_ids(index), numbers)
        encoded.append(row)
    return encoded


def _encoding(tokenizer: Any, texts: list[Any], config: Any, name: str, options: dict[str, Any]) -> Any:
    """The tokenizer's answer, with numbers that the model knows.

    Raises:
        CheckpointError: it fails, makes nothing of a row, or makes numbers that are outside the model's tables.
    """
    try:
        encoding = tokenizer(*texts, **options)
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        raise CheckpointError(f"the model's tokenizer fails on {name}: {first_line(error)}") from error
    for field, size in (("input_ids", "vocab_size"), ("token_type_ids", "type_vocab_size")):
        known = getattr(config, size, None)
        for index, row in enumerate(encoding.get(field, [])):
            if not row or (known is not None and not 0 <= min(row) <= max(row) < known):
                made = f"{field} {max(row)}" if row else "nothing"
                raise CheckpointError(
                    f"{name}, row {index + 1}: the tokenizer makes {made} of it, and the model knows {field} from 0 to "
                    f"{known - 1 if known is not None else '?'}; use the tokenizer that belongs to the model"
                )
    return encoding


def _first_pieces(word_ids: list[int | None], numbers: list[int]) -> list[int]:
    labels, previous = [], None
    for word in word_ids:
        labels.append(IGNORED_LABEL if word is None or word == previous else numbers[word])
        previous = word
    return labels
