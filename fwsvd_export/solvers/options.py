"""Options of the solvers: one frozen record per method, checked when it is made. A method's own stand in its file."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fwsvd_export.errors import SolverOptionError

START_NAMES = ("rank-one", "row", "svd")
"""Names of the closed forms that an iteration may begin with; ``starts`` holds them."""


@dataclass(frozen=True)
class SolverOptions:
    """The base of every method's options; by itself, those of a method that takes none."""

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            value = getattr(self, name)
            shown = f"{value:g}" if isinstance(value, int | float) else value
            raise SolverOptionError(f"{name}={shown}: {what} is allowed")


@dataclass(frozen=True)
class IterationOptions(SolverOptions):
    """What every iterative method takes.

    Attributes:
        start: the closed form to begin with: "rank-one", "row" or "svd".
        max_iterations: iterations at most.
        tolerance: stop when the second half of the iterations lowered the loss by less than this share of it.
    """

    start: str = "rank-one"
    max_iterations: int = 1000
    tolerance: float = 2e-3

    @property
    def fewest(self) -> int:
        """Iterations before it may stop: the first ones find the length of their steps."""
        return 20

    def __post_init__(self) -> None:
        self._require("start", self.start in START_NAMES, f"one of {', '.join(START_NAMES)}")
        self._require("max_iterations", self.max_iterations >= 1, "a whole number of at least 1")
        self._require("tolerance", 0 <= self.tolerance < 1, "a number from 0 up to 1")


def options_from(method: str, record: type[SolverOptions], given: Mapping[str, Any]) -> SolverOptions:
    """The options record of a method with the given values, texts of numbers allowed.

    Args:
        method: its name, for messages.
        record: the type of its options, from its row of the table.
        given: values by name; what is missing has its default.

    Raises:
        SolverOptionError: an unknown name (the message lists the known ones), or a value that is not allowed.

    Example:
        >>> options_from("em", IterationOptions, {"max_iterations": "20"})
        IterationOptions(start='rank-one', max_iterations=20, tolerance=0.002)
    """
    types = typing.get_type_hints(record)
    known = [field.name for field in fields(record)]
    values = {}
    for name, value in given.items():
        if not known:
            raise SolverOptionError(f"solver option {name}: method {method} is exact and takes no options")
        if name not in known:
            raise SolverOptionError(f"solver option {name}: method {method} knows {', '.join(known)}")
        try:
            if isinstance(value, bool):
                raise TypeError("a truth value is not a number")
            values[name] = types[name](value)
            if isinstance(value, float) and isinstance(values[name], int) and values[name] != value:
                raise ValueError("int drops the fraction")
        except (TypeError, ValueError, OverflowError) as error:
            kind = {int: "a whole number", float: "a number"}[types[name]]
            raise SolverOptionError(f"solver option {name}={value}: {kind} is allowed") from error
    return record(**values)


def options_to_json(options: SolverOptions) -> dict[str, Any]:
    """As it stands in ``compression.json``."""
    return asdict(options)


def with_fisher_axis(method: str, given: Mapping[str, Any], axis: str | None) -> dict[str, Any]:
    """Option values with those of ``fisher_axis`` among them, the alias of fwsvd's option ``axis``.

    Args:
        method: the name of the solver.
        given: values by name.
        axis: of the alias, None when it was not given.

    Raises:
        SolverOptionError: the alias with another method, or with another value than ``axis`` among ``given``.

    Example:
        >>> with_fisher_axis("fwsvd", {}, "output")
        {'axis': 'output'}
    """
    if axis is None:
        return dict(given)
    if method != "fwsvd":
        raise SolverOptionError(
            f"fisher axis {axis} is for method fwsvd, and the method is {method}; leave it out, or use method fwsvd"
        )
    if given.get("axis", axis) != axis:
        raise SolverOptionError(
            f"fisher axis {axis} and solver option axis={given['axis']} contradict each other; give one of them"
        )
    return {**given, "axis": axis}
