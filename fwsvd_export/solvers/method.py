"""What an iterative method brings to the driver, and one step of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from fwsvd_export.solvers.problem import Iterate, Scaled


class Method(Protocol):
    """Where to go next, and what to make of the outcome. It holds a stack of problems."""

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """The next candidate."""

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """Called before the candidate replaces the current iterate where ``better`` (B)."""

    def keep(self, index: Tensor) -> None:
        """Forgets all problems but those of the given positions."""


# (problem, spare directions of the start (B, k, n), options) -> the method's state
MakeMethod = Callable[[Scaled, Tensor, Any], Method]


def advance(method: Method, problem: Scaled, current: Iterate) -> Iterate:
    """One step of a method, taken only where it lowers the loss."""
    candidate = method.propose(problem, current)
    better = candidate.loss < current.loss  # never for NaN
    method.learn(problem, current, candidate, better)
    return current.where_better(candidate, better)
