"""What a row of the solver table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fwsvd_export.records import Decomposition, WeightingNorm
from fwsvd_export.solvers.options import IterationOptions, SolverOptions

if TYPE_CHECKING:
    from torch import Tensor

    from fwsvd_export.solvers.method import MakeMethod


@dataclass(frozen=True)
class Solver:
    """What every row of the table has.

    Attributes:
        name: what ``--method`` takes.
        norm: the type of weighting norm the solver minimises.
        needs: the collection its norm is built from, None when it needs no statistics.
        minimises: the objective, in one line.
        comparable: whether losses mean the same in every layer, so that one budget can be shared.
        source: citation.
        options: the record of its options.
    """

    name: str
    norm: type[WeightingNorm]
    needs: str | None
    minimises: str
    comparable: bool
    source: str
    options: type[SolverOptions]


@dataclass(frozen=True)
class ClosedForm(Solver):
    """A method that gives the global minimum at every rank at once.

    The minimum in a norm is what it is: the options of a closed form choose the norm, and ``decompose`` sees only that.

    Attributes:
        decompose: (weight (out, in), norm, layer name) -> the closed form.
    """

    decompose: Callable[[Tensor, Any, str], Decomposition]


@dataclass(frozen=True)
class Iterative(Solver):
    """A method that improves a start step by step; ``driver.minimise`` runs it.

    Attributes:
        method: makes its state for a stack of problems.
        options: the record of its options.
    """

    options: type[IterationOptions]
    method: MakeMethod
