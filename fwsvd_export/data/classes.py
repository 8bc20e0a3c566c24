"""Classes of a label: those of the data and those of the model are matched by name where both have names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, RowError, listed, shown

_BLANKS = re.compile(r"[\s_-]+")
_NUMBER = re.compile(r"(-?\d{1,9})(?:\.0*)?", re.ASCII)  # tables write a whole number as 1 or 1.0
_TRUTH = {"false": "0", "true": "1"}
_WITHOUT_NAME = re.compile(r"LABEL_\d+")  # what transformers calls the classes of a model that was given no names


@dataclass(frozen=True)
class Classes:
    """The classes of a model.

    Attributes:
        names: by number; None for a model that was given none.
        count: how many.
    """

    names: tuple[str, ...] | None
    count: int

    @classmethod
    def of(cls, config: Any, task: Task) -> Classes:
        """Those of a model's configuration; names that were given for the task stand in place of its own.

        Raises:
            DataError: names were given, and not one per class.
        """
        count = int(config.num_labels)
        if task.label_names is not None:
            if len(task.label_names) != count:
                raise DataError(
                    f"--label-names has {len(task.label_names)} names ({listed(task.label_names)}), and the model has "
                    f"{count} classes; give one name per class, in the order of their numbers"
                )
            return cls(task.label_names, count)
        names = tuple(str((config.id2label or {}).get(number, f"LABEL_{number}")) for number in range(count))
        return cls(None if all(map(_WITHOUT_NAME.fullmatch, names)) else names, count)

    @property
    def called_by_numbers(self) -> bool:
        """Whether the names are numbers, like 1 to 5; then a label that is a number means a name."""
        return self.names is not None and all(map(_NUMBER.fullmatch, self.names))

    def __str__(self) -> str:
        """As a message lists them."""
        numbers = [] if self.called_by_numbers else [f"0 to {self.count - 1}"]
        return ", or ".join([*numbers, *([] if self.names is None else [listed(self.names)])])


class ClassReader:
    """Reads labels that are class numbers or names of classes.

    Args:
        classes: of the model.
        data_names: of the data's classes by number, where the file holds them (``datasets.ClassLabel``).
        label_map: pairs of a label of the data and a class of the model, by name or number; they come first.

    Raises:
        DataError: the map names a class that the model does not have.
    """

    def __init__(
        self, classes: Classes, data_names: Sequence[str] | None = None, label_map: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.classes = classes
        self._data_names = data_names
        names = classes.names or tuple(f"LABEL_{number}" for number in range(classes.count))
        plain = {_plain(name): number for number, name in enumerate(names)}
        self._exact = {name: number for number, name in enumerate(names)}
        self._plain = plain if len(plain) == len(names) else {}
        self._map: dict[str, int] = {}
        for label, wanted in label_map:
            number = self._of_text(wanted)
            if _plain(label) in self._map:
                raise DataError(f"--label-map says twice what {shown(label)} is; say it once")
            if number is None:
                raise DataError(
                    f"--label-map {label}={wanted}: {shown(wanted)} is not one of the model's {classes.count} classes "
                    f"({classes}); name one of them"
                )
            self._map[_plain(label)] = number

    def __call__(self, value: Any, where: str) -> int:
        """The class number of a label.

        Raises:
            RowError: it is not one of the model's classes.
        """
        number = self._number(value)
        if number is None:
            raise RowError(self._refusal(value, where))
        return number

    def has_names(self, values: Sequence[Any]) -> bool:
        """Whether labels in a list are names, as texts or as numbers of the data's named classes."""
        return self._data_names is not None or all(isinstance(value, str) for value in values)

    def _number(self, value: Any) -> int | None:
        name = self._name(value)
        if name is not None and _plain(name) in self._map:
            return self._map[_plain(name)]
        if isinstance(name, str):
            return self._of_text(name)
        number = _whole(value)
        if str(number) in self._map:
            return self._map[str(number)]
        return number if number is not None and 0 <= number < self.classes.count else None

    def _name(self, value: Any) -> str | None:
        """The name of a label; None for a number without one, and where the model's classes have none to match."""
        if isinstance(value, str):
            return value
        names = self._data_names or ()
        if self.classes.called_by_numbers and not names and _whole(value) is not None:
            return str(_whole(value))
        if not isinstance(value, int) or not 0 <= value < len(names):
            return None
        return names[value] if self.classes.names is not None or _plain(names[value]) in self._map else None

    def _of_text(self, text: str) -> int | None:
        """The class of a name, or of a number that is written as a text, as every cell of a table is."""
        number = self._exact.get(text, self._plain.get(_plain(text)))
        written = _TRUTH.get(text.strip().lower(), _plain(text))
        if number is not None or self.classes.called_by_numbers or not _NUMBER.fullmatch(written):
            return number
        return int(written) if 0 <= int(written) < self.classes.count else None

    def _refusal(self, value: Any, where: str) -> str:
        name = self._name(value)
        label = shown(value if name is None or name == str(value) else name)
        said = f"{where}: label {label} is not one of the model's {self.classes.count} classes ({self.classes})"
        if self._data_names is not None:
            said += f"; the data's are {listed(self._data_names)}"
        return f"{said}; say which is which with --label-map LABEL=CLASS,…"


def _whole(value: Any) -> int | None:
    """A whole number, of whatever type; None for anything else."""
    whole = isinstance(value, Real) and math.isfinite(value) and float(value).is_integer()
    return int(value) if whole else None


def _plain(name: str) -> str:
    """A name without what people write differently: upper case, blanks, underscores and hyphens."""
    if found := _NUMBER.fullmatch(name.strip()):
        return found[1]
    return _BLANKS.sub("", name.casefold())
