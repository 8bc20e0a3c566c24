"""What em, nesterov and anderson share: the length of a fill-in, and its projection from a warm start."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, Scaled, iterate_at
from fwsvd_export.solvers.step import project

SHRINK = 0.3  # of a step that did not lower the loss
LONGEST = 1e3  # step, in units of the first; a move that touches no weight says nothing


class FillIn:
    """The state of X <- nearest rank-r matrix to T, T a matrix filled in by steps of length t.

    Attributes:
        length: t (B).
    """

    def __init__(self, problem: Scaled, directions: Tensor, options: IterationOptions) -> None:
        self._basis = torch.linalg.qr(directions.mT).Q.mT
        # Between the safe 1 / max and the typical 1 / mean
        self.length = problem.weights.square().mean((1, 2)).rsqrt()
        self._longest = LONGEST * self.length

    def keep(self, index: Tensor) -> None:
        """Forgets all problems but those of the given positions."""
        self._basis, self.length, self._longest = self._basis[index], self.length[index], self._longest[index]

    def _nearest(self, problem: Scaled, filled: Tensor) -> Iterate:
        """The projection of T (B, m, n)."""
        projection = project(filled, self._basis, problem.rank)
        self._basis = projection.basis
        return iterate_at(problem, projection.up, projection.down)

    def _learn_length(self, problem: Scaled, move: Tensor, *, learn: Tensor, shrink: Tensor) -> None:
        """Takes the inverse curvature along a move (B, m, n) of X where ``learn`` (B), shortens where ``shrink``."""
        flat = move.flatten(1)
        bent = torch.linalg.vecdot(flat, (problem.weights * move).flatten(1))
        measured = torch.minimum(torch.linalg.vecdot(flat, flat) / bent, self._longest)
        self.length = torch.where(learn & (bent > 0), measured, torch.where(shrink, SHRINK, 1.0) * self.length)
