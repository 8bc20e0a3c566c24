"""Labels of the data become what the model predicts: a number, or the number of a class."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from fwsvd_export.errors import DataError


def number_of(value: Any, config: Any, where: str) -> float:
    """A finite number."""
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


def class_of(value: Any, config: Any, where: str) -> int:
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
