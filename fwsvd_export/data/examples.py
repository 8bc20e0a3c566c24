"""Rows become examples: texts and labels are taken from the task's columns and checked, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.data.labels import WITHOUT_LABEL, label_reader
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.tasks import Task
from fwsvd_export.data.usable import WITHOUT_TEXT, Usable, read_usable
from fwsvd_export.errors import RowError, shown


@dataclass(frozen=True)
class Example:
    """One row of a task.

    Attributes:
        texts: one text, or two for a task about pairs; for token labels one list of words.
        label: a class number, a number, 0 or 1 per class, or a class number per word; None for text without labels.
    """

    texts: tuple[Any, ...]
    label: Any


def read_examples(rows: Rows, task: Task, config: Any, on_bad_row: str = "stop") -> Usable[Example]:
    """An example per row.

    Args:
        rows: of the data.
        task: says which columns hold what.
        config: of the model; its labels are what the data's are checked against.
        on_bad_row: "stop" for an error at a cell without a text or without a label that fits, "skip" to leave its row
            out.

    Raises:
        DataError: a column that is not there, labels of another kind than the model's, or a row that cannot be used
            and is not to be left out.
    """
    texts = {column: rows.column(column) for column in (task.text, task.text_pair) if column is not None}
    labels = None if task.label is None else rows.column(task.label)
    read = None if task.label is None else label_reader(task, config, rows.table.features[task.label])

    def example_at(index: int) -> Example:
        where, label = rows.place(index), None
        values = tuple(_text(cells[index], column, task, where) for column, cells in texts.items())
        if labels is not None and read is not None:
            label = read(_given(labels[index], f"{where}: column {shown(task.label)}"), values[0], where)
        return Example(values, label)

    return read_usable(rows, example_at, on_bad_row)


def _text(value: Any, column: str, task: Task, where: str) -> Any:
    """A text, or a list of words."""
    words = task.labels == "tokens"
    kind, what = (list, "a list of words") if words else (str, "a text")
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        raise RowError(f"{where}: column {shown(column)} is empty, {what} is needed", WITHOUT_TEXT)
    if not isinstance(value, kind):
        raise RowError(f"{where}: column {shown(column)} holds {shown(value)}, {what} is needed", WITHOUT_TEXT)
    for text in value if words else [value]:
        if not isinstance(text, str) or not _is_unicode(text):
            raise RowError(f"{where}: column {shown(column)} holds {shown(text)}, which is not a text", WITHOUT_TEXT)
    return value


def _is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON can write and tokenizers fail on."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _given(label: Any, where: str) -> Any:
    """A label that is there."""
    if label is None or label == "":
        raise RowError(f"{where} is empty, a label is needed", WITHOUT_LABEL)
    return label
