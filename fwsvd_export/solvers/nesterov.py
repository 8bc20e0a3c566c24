"""Nesterov's acceleration of em (Tuzhilina & Hastie 2021, arXiv 2109.11057, section 4.1).

The fill-in happens at the extrapolated Y = X + (i - 1) / (i + 2) (X - X_before). The momentum starts anew when the loss
would rise (O'Donoghue & Candès 2015, arXiv 1204.3982); when the step without momentum fails too, it is shortened.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.solvers.fill_in import FillIn
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, Scaled


class Nesterov(FillIn):
    """X <- nearest rank-r matrix to Y + t F∘(W - Y)."""

    def __init__(self, problem: Scaled, directions: Tensor, options: IterationOptions) -> None:
        super().__init__(problem, directions, options)
        self._count = torch.ones_like(self.length)  # i, (B)
        self._before: Tensor | None = None  # the residual before the current one

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """The next fill-in at the extrapolated point, projected."""
        residual = current.residual
        if self._before is not None:
            momentum = ((self._count - 1) / (self._count + 2))[:, None, None]
            residual = residual + momentum * (residual - self._before)
        filled = problem.target - residual + self.length[:, None, None] * (problem.weights * residual)
        return self._nearest(problem, filled)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """A new length, and more momentum or none."""
        move = current.residual - candidate.residual
        self._learn_length(problem, move, learn=better, shrink=~better & (self._count == 1))
        self._before = current.residual
        self._count = torch.where(better, self._count + 1, 1.0)

    def keep(self, index: Tensor) -> None:
        """Forgets all problems but those of the given positions."""
        super().keep(index)
        self._count = self._count[index]
        self._before = None if self._before is None else self._before[index]
