"""Exact alternating weighted least squares (Gabriel & Zamir 1979, Technometrics 21).

With V fixed, every row u_i of U is the solution of its own system V diag(F_i) V^T u_i = V diag(F_i) w_i, of size rank ×
rank; then the same for V. A sweep solves all rows, then all columns. Four things are added:

- A sweep costs as much as ten fill-ins, which bring as much at first: ``warm_up`` steps of a cheaper method precede.
- Solved is the change of u_i, with V's rows made orthonormal first and a small multiple of the system's mean diagonal
  added: a row or a direction that no weight speaks of stays where it was, and nothing is singular.
- The change is overdone (successive over-relaxation, Young 1954). The loss is quadratic in one factor, so up to twice
  the change it cannot rise, and the two factors follow each other in a third of the sweeps (measured in docs/log.md).
- The systems of many rows come from one product of the weights with the pairwise products of V's rows, a few pairs and
  rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.solvers.method import Method, advance
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, Scaled, iterate_at

PAIR_BLOCK = 16  # rows of V whose products with the others are formed at once
SYSTEM_BYTES = 32 * 2**20  # of rank × rank systems held at once
RETRY_GROWTH = 10.0  # of the added diagonal when float32 leaves a system indefinite
EASE_IN = 4  # sweeps until the full over-relaxation
RETRIES = 8  # from a millionth of the mean diagonal to a hundred times it


@dataclass(frozen=True)
class AlsOptions(IterationOptions):
    """Options of ``als``.

    Attributes:
        warm_up: cheap steps (of anderson, in the table) before the first sweep.
        damping: share of a system's mean diagonal that is added to its diagonal.
        relaxation: multiple of the exact change that is taken; 1 is plain alternation.
    """

    max_iterations: int = 200
    tolerance: float = 5e-4
    warm_up: int = 30
    damping: float = 1e-6
    relaxation: float = 1.7

    @property
    def fewest(self) -> int:
        """Each sweep counts in full."""
        return 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("warm_up", self.warm_up >= 0, "a whole number of at least 0")
        self._require("damping", 0 < self.damping <= 1, "a number above 0 and at most 1")
        self._require("relaxation", 1 <= self.relaxation < 2, "a number from 1 up to 2")


class Als:
    """U <- best for V, V <- best for U; the first steps are those of a cheaper method."""

    def __init__(self, options: AlsOptions, cheap: Method) -> None:
        self._damping, self._excess = options.damping, options.relaxation - 1
        self._warm_up = options.warm_up
        self._cheap: Method | None = cheap
        self._sweeps = 0

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """A sweep; the first ones are plain, since overdoing pays only near the solution."""
        if self._cheap is not None:
            for _ in range(self._warm_up):
                current = advance(self._cheap, problem, current)
            self._cheap = None  # what it remembers is as large as the problem
        share = 1 + self._excess * min(1.0, self._sweeps / EASE_IN)
        self._sweeps += 1
        down, turn = _orthonormal_rows(current.down)
        up = current.up @ turn + share * changes(problem.weights, current.pull, down, self._damping)
        half = iterate_at(problem, up, down)
        rows, turn = _orthonormal_rows(up.mT)
        columns = (turn.mT @ down).mT + share * changes(problem.weights.mT, half.pull.mT, rows, self._damping)
        return iterate_at(problem, rows.mT, columns.mT)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """Nothing: a sweep depends only on where it begins and on how many went before."""

    def keep(self, index: Tensor) -> None:
        """Forgets all problems but those of the given positions."""
        if self._cheap is not None:
            self._cheap.keep(index)


def changes(weights: Tensor, pull: Tensor, other: Tensor, damping: float) -> Tensor:
    """The change of every row that minimises the loss with the other factor fixed; (B, p, r).

    Args:
        weights: (B, p, q).
        pull: weights times residual (B, p, q).
        other: orthonormal rows (B, r, q).
        damping: see ``AlsOptions``.
    """
    (batch, rows, _), rank = weights.shape, other.shape[1]
    right = pull @ other.mT  # (B, p, r)
    at_once = max(1, SYSTEM_BYTES // (4 * batch * rank * rank))
    parts = []
    for start in range(0, rows, at_once):
        systems = row_systems(weights[:, start : start + at_once], other)
        parts.append(_solved(systems, right[:, start : start + at_once], damping))
    return torch.cat(parts, 1)


def row_systems(weights: Tensor, other: Tensor) -> Tensor:
    """V diag(F_i) V^T for every row of weights (B, p, q), V = other (B, r, q); (B, p, r, r), lower triangles only."""
    (batch, rows, _), rank = weights.shape, other.shape[1]
    systems = weights.new_empty(batch, rows, rank, rank)  # what is above the diagonal is never read
    for start in range(0, rank, PAIR_BLOCK):
        stop = min(start + PAIR_BLOCK, rank)
        pairs = other[:, start:stop, None] * other[:, None, start:]  # (B, b, r - start, q)
        sums = weights @ pairs.flatten(1, 2).mT  # (B, p, b * (r - start))
        systems[:, :, start:, start:stop] = sums.view(batch, rows, stop - start, rank - start).mT
    return systems


def _solved(systems: Tensor, right: Tensor, damping: float) -> Tensor:
    """The solutions (B, p, r); more damping, which only shortens a change, for systems that float32 left indefinite."""
    diagonal = systems.diagonal(dim1=2, dim2=3)
    ridge = damping * diagonal.mean(2, keepdim=True) + torch.finfo(systems.dtype).tiny
    diagonal.add_(ridge)
    triangles, failed = torch.linalg.cholesky_ex(systems)
    for _ in range(RETRIES):
        again = failed > 0
        if not bool(again.any()):
            break
        ridge = RETRY_GROWTH * ridge
        diagonal[again] += ridge[again]
        triangles[again], failed[again] = torch.linalg.cholesky_ex(systems[again])
    solution = torch.cholesky_solve(right[..., None], triangles)[..., 0]
    return solution.masked_fill_((failed > 0)[..., None], 0.0)


def _orthonormal_rows(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Q (B, r, q) with orthonormal rows and T (B, r, r) with T Q = factor."""
    decomposition = torch.linalg.qr(factor.mT)
    return decomposition.Q.mT, decomposition.R.mT
