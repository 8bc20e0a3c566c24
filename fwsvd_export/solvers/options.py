"""Options of the iterative solvers: one frozen record per method, checked when it is made."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fwsvd_export.errors import SolverOptionError
from fwsvd_export.solvers.starts import STARTS


@dataclass(frozen=True)
class IterationOptions:
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
        if self.start not in STARTS:
            raise SolverOptionError(f"start={self.start}: one of {', '.join(STARTS)} is allowed")
        self._require("max_iterations", self.max_iterations >= 1, "a whole number of at least 1")
        self._require("tolerance", 0 <= self.tolerance < 1, "a number from 0 up to 1")

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            raise SolverOptionError(f"{name}={getattr(self, name):g}: {what} is allowed")


def options_from(method: str, record: type[IterationOptions] | None, given: Mapping[str, Any]) -> Any:
    """The options record of a method with the given values, texts of numbers allowed; None for a closed form.

    Raises:
        SolverOptionError: an unknown name (the message lists the known ones), or a value that is not allowed.

    Example:
        >>> options_from("em", IterationOptions, {"max_iterations": "20"}).max_iterations
        20
    """
    if record is None:
        if given:
            raise SolverOptionError(f"solver option {next(iter(given))}: method {method} is exact and takes no options")
        return None
    types = typing.get_type_hints(record)
    known = [field.name for field in fields(record)]
    values = {}
    for name, value in given.items():
        if name not in known:
            raise SolverOptionError(f"solver option {name}: method {method} knows {', '.join(known)}")
        try:
            values[name] = types[name](value)
            if isinstance(value, float) and isinstance(values[name], int) and values[name] != value:
                raise ValueError("int drops the fraction")
        except (TypeError, ValueError, OverflowError) as error:
            kind = {int: "a whole number", float: "a number"}[types[name]]
            raise SolverOptionError(f"solver option {name}={value}: {kind} is allowed") from error
    return record(**values)


def options_to_json(options: IterationOptions | None) -> dict[str, Any]:
    """As it stands in ``compression.json``."""
    return {} if options is None else asdict(options)
