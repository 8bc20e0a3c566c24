"""Rows become encoded examples: columns, texts and labels are checked, then tokenised."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.batches import IGNORED_LABEL, Batches
from fwsvd_export.data.rows import DataRequest, read_rows
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import CheckpointError, DataError, first_line, is_failure


def load_batches(request: DataRequest, tokenizer: Any, encoder: Encoder) -> Batches:
    """Reads, checks and tokenises the rows that were asked for.

    Args:
        request: which rows.
        tokenizer: the model's.
        encoder: of the model; its labels are what the data's are checked against.

    Raises:
        DataError: missing or empty data, a column that is not there, or a label the model does not know.
    """
    return encode_rows(read_rows(request), request, tokenizer, encoder)


def encode_rows(rows: Any, request: DataRequest, tokenizer: Any, encoder: Encoder) -> Batches:
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
    rows, indices = _shard(rows, request)
    columns = {column: rows[column][:] for column in wanted}
    _check_texts(columns, task, request.name)
    length = min(request.max_length, encoder.usable_length)
    options = {"truncation": True, "max_length": length}
    if task.labels == "tokens":
        words = _encode_words(columns, task, tokenizer, encoder, request.name, options)
        return Batches(words, tokenizer, request.batch_size, indices)
    pair = [columns[task.text_pair]] if task.text_pair is not None else []
    encoding = _encoding(tokenizer, [columns[task.text], *pair], encoder, request.name, options)
    encoded = [_example(encoding, index, encoder) for index in range(len(columns[task.text]))]
    if task.label is not None:
        read = _number if task.labels == "number" else _class
        for index, (row, value) in enumerate(zip(encoded, columns[task.label], strict=True)):
            row["labels"] = read(value, encoder.model.config, f"{request.name}, row {index + 1}")
    return Batches(encoded, tokenizer, request.batch_size, indices)


def _shard(rows: Any, request: DataRequest) -> tuple[Any, range]:
    """The rows of the request's shard, and their places among all rows that were chosen."""
    part, parts = request.shard
    indices = range(part - 1, len(rows), parts)
    if not indices:
        raise DataError(f"shard {part}/{parts} of {request.name} is empty: it has {len(rows)} rows; make fewer shards")
    return (rows if parts == 1 else rows.select(indices)), indices


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
    columns: dict[str, list[Any]], task: Task, tokenizer: Any, encoder: Encoder, name: str, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Words and their labels; the first piece of each word carries its label, the other pieces none."""
    options = {**options, "is_split_into_words": True}
    encoding = _encoding(tokenizer, [columns[task.text]], encoder, name, options)
    encoded: list[dict[str, Any]] = []
    for index, words in enumerate(columns[task.text]):
        row = _example(encoding, index, encoder)
        if task.label is not None:
            where = f"{name}, row {index + 1}"
            tags = columns[task.label][index]
            if not isinstance(tags, list) or len(tags) != len(words):
                raise DataError(f"{where}: one label per word is needed ({len(words)} words)")
            numbers = [_class(tag, encoder.model.config, where) for tag in tags]
            row["labels"] = _first_pieces(encoding.word_ids(index), numbers)
        encoded.append(row)
    return encoded


def _encoding(tokenizer: Any, texts: list[Any], encoder: Encoder, name: str, options: dict[str, Any]) -> Any:
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
    for field, known in encoder.ranges.items():
        for index, row in enumerate(encoding.get(field, [])):
            if not row or not 0 <= min(row) <= max(row) < known:
                made = f"{field} {max(row)}" if row else "nothing"
                raise CheckpointError(
                    f"{name}, row {index + 1}: the tokenizer makes {made} of it, and the model knows {field} from 0 to "
                    f"{known - 1}; use the tokenizer that belongs to the model"
                )
    return encoding


def _example(encoding: Any, index: int, encoder: Encoder) -> dict[str, Any]:
    """What the model takes of one row; a tokenizer may make more (token types for a model that has none)."""
    return {name: encoding[name][index] for name in encoder.inputs if name in encoding}


def _first_pieces(word_ids: list[int | None], numbers: list[int]) -> list[int]:
    labels, previous = [], None
    for word in word_ids:
        labels.append(IGNORED_LABEL if word is None or word == previous else numbers[word])
        previous = word
    return labels
