"""Labels of the data become what the model predicts: a class, a number, several classes or a class per word."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.data.classes import Classes, ClassReader
from fwsvd_export.data.tasks import WITHOUT_CLASSES, Task
from fwsvd_export.errors import RowError, shown
from fwsvd_export.wording import counted

Reader = Callable[[Any, Any, str], Any]
"""(label, text it belongs to, row as a message names it) -> what the model is to predict."""

WITHOUT_LABEL = "without a label"  # the reason of a row's error
_LARGEST_GRADE = 1000  # what judges give is 0 to 4 or so; numbers of texts are another thing
_NO_LABEL = (IGNORED_LABEL, str(IGNORED_LABEL))  # of a word; as text in CoNLL files


def label_reader(task: Task, config: Any, feature: Any) -> Reader:
    """The function that reads the labels of a task's column.

    Args:
        task: says what kind of label it is.
        config: of the model.
        feature: of the column, from ``datasets``; it may hold the names of the data's classes.
    """
    if task.labels in ("number", "similarity"):
        return lambda value, text, where: number_of(value, where)
    if task.labels == "rank":
        return lambda value, text, where: _grade_of(value, where)
    read = ClassReader(Classes.of(config, task), _data_names(feature), task.label_map)
    if task.labels == "multilabel":
        return lambda value, text, where: _indicators(value, read, where)
    if task.labels == "tokens":
        return lambda value, text, where: _tags(value, text, read, where)
    return lambda value, text, where: read(value, where)


def resolved(task: Task, config: Any, feature: Any) -> Task:
    """The task with the names of its classes: the data's own where the model has none."""
    names = _data_names(feature)
    without = task.label_names is None and task.label is not None and task.labels not in WITHOUT_CLASSES
    if names is None or not without or Classes.of(config, task).names is not None or len(names) != config.num_labels:
        return task
    return task.with_labels(label_names=tuple(names))


def number_of(value: Any, where: str) -> float:
    """A finite number.

    Raises:
        RowError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(f"{where}: label {shown(value)} is not a finite number, which this task needs")
    return number


def _grade_of(value: Any, where: str) -> int:
    """A whole number from 0 to ``_LARGEST_GRADE``.

    Raises:
        RowError: it is none.
    """
    number = number_of(value, where)
    if not 0 <= number <= _LARGEST_GRADE or number != int(number):
        raise RowError(
            f"{where}: label {shown(value)} is no grade, a whole number from 0 to {_LARGEST_GRADE:,}, which this task "
            "needs"
        )
    return int(number)


def _tags(value: Any, words: Any, read: ClassReader, where: str) -> list[int]:
    """A class number per word; -100 is a word without a label."""
    if not isinstance(value, list) or len(value) != len(words):
        raise RowError(f"{where}: one label per word is needed ({counted(len(words), 'word')})")
    numbers = [IGNORED_LABEL if tag in _NO_LABEL else read(tag, where) for tag in value]
    if set(numbers) <= {IGNORED_LABEL}:
        raise RowError(f"{where}: no word has a label ({IGNORED_LABEL} stands for none)", WITHOUT_LABEL)
    return numbers


def _indicators(value: Any, read: ClassReader, where: str) -> tuple[float, ...]:
    """0 or 1 for every class, from such a list or from a list of names."""
    if not isinstance(value, list):
        raise RowError(
            f"{where}: label {shown(value)} is not a list; this task needs a list of names, or of 0 or 1 per class"
        )
    if read.has_names(value):
        chosen = {read(name, where) for name in value}
        return tuple(float(number in chosen) for number in range(read.classes.count))
    if len(value) != read.classes.count or not set(value) <= {0, 1}:
        raise RowError(
            f"{where}: label {shown(value)} is neither a list of names nor {read.classes.count} times 0 or 1, one per "
            f"class ({read.classes}); write it as one of the two"
        )
    return tuple(map(float, value))


def _data_names(feature: Any) -> tuple[str, ...] | None:
    """The names in a column's type, also of a list's items; None where there are none, or they are mere numbers."""
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if not names or all(str(name).strip().isdecimal() for name in names):
        return None
    return tuple(map(str, names))
