"""Rows become examples: texts and labels are taken from the task's columns and checked, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.data.labels import label_reader
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, listed, shown


@dataclass(frozen=True)
class Example:
    """One row of a task.

    Attributes:
        texts: one text, or two for a task about pairs; for token labels one list of words.
        label: a class number, a number, 0 or 1 per class, or a class number per word; None for text without labels.
    """

    texts: tuple[Any, ...]
    label: Any


def read_examples(rows: Rows, task: Task, config: Any) -> list[Example]:
    """An example per row.

    Args:
        rows: of the data.
        task: says which columns hold what.
        config: of the model; its labels are what the data's are checked against.

    Raises:
        DataError: a column that is not there, a cell that holds no text, or a label the model does not know.
    """
    texts = [column for column in (task.text, task.text_pair) if column is not None]
    columns = [_column(rows, column) for column in texts]
    labels = None if task.label is None else _column(rows, task.label)
    read = None if task.label is None else label_reader(task, config, rows.table.features[task.label])
    found = []
    for index in range(len(rows)):
        where = rows.place(index)
        values = tuple(_text(cells[index], column, task, where) for column, cells in zip(texts, columns, strict=True))
        label = None if labels is None or read is None else read(labels[index], values[0], where)
        found.append(Example(values, label))
    return found


def _column(rows: Rows, column: str) -> list[Any]:
    if column not in rows.table.column_names:
        raise DataError(
            f"{rows.name} has no column {column!r}; it has {listed(rows.table.column_names)}: "
            "name the right ones with --text-column, --text-pair-column and --label-column"
        )
    return list(rows.table[column])


def _text(value: Any, column: str, task: Task, where: str) -> Any:
    kind, what = (list, "a list of words") if task.labels == "tokens" else (str, "a text")
    if not isinstance(value, kind):
        raise DataError(f"{where}: column {column!r} holds {shown(value)}, {what} is needed")
    return value
