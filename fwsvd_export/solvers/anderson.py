"""Anderson's acceleration of em (Tuzhilina & Hastie 2021, arXiv 2109.11057, section 4.2; Walker & Ni 2011, section 2).

em is a fixed-point iteration of the filled-in matrix T: T -> X + t F∘(W - X), X = SVD_r(T). The next T combines the
last ``depth`` + 1 so that their changes cancel best (type II). The small least-squares problem is solved for
differences of length one with a ridge, so that it is never singular. Where the combination would raise the loss, the
plain step is taken next and the memory starts anew; where that fails too, it is shortened.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.solvers.fill_in import FillIn
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, Scaled

GROW = 1.1  # of the step's length while combinations succeed; measured against 1 and 1.3


@dataclass(frozen=True)
class AndersonOptions(IterationOptions):
    """Options of ``anderson``.

    Attributes:
        depth: earlier steps that are combined.
        regularisation: ridge on the combination, for differences of length one.
    """

    depth: int = 3
    regularisation: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("depth", 1 <= self.depth <= 20, "a whole number from 1 to 20")
        self._require("regularisation", 0 < self.regularisation <= 1, "a number above 0 and at most 1")


@dataclass(frozen=True)
class Place:
    """Where the iteration was, or the difference of two such places; each part (B, m, n). It holds for every length t.

    Attributes:
        point: X, the projection of ``source``.
        pull: F∘(W - X).
        source: the T before.
    """

    point: Tensor
    pull: Tensor
    source: Tensor

    def filled(self, length: Tensor) -> Tensor:
        """The fill-in X + t F∘(W - X)."""
        return self.point + length[:, None, None] * self.pull

    def minus(self, other: Place) -> Place:
        """The difference."""
        return Place(self.point - other.point, self.pull - other.pull, self.source - other.source)

    def kept(self, index: Tensor) -> Place:
        """The problems of the given positions."""
        return Place(self.point[index], self.pull[index], self.source[index])


class Anderson(FillIn):
    """T <- combination of the last fill-ins, X <- nearest rank-r matrix to T."""

    def __init__(self, problem: Scaled, directions: Tensor, options: AndersonOptions) -> None:
        super().__init__(problem, directions, options)
        self._depth, self._ridge = options.depth, options.regularisation
        self._known = torch.zeros_like(self.length)  # (B) how many of the differences count
        self._differences: list[Place] = []  # newest first
        self._last: Place | None = None
        self._source: Tensor | None = None  # the T that the current iterate is the projection of; X itself at first
        self._filled = problem.target  # the T that the candidate is the projection of

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """The combination of the last fill-ins, projected."""
        point = problem.target - current.residual
        place = Place(point, current.pull, point if self._source is None else self._source)
        if self._last is not None:
            self._differences = [place.minus(self._last), *self._differences][: self._depth]
        self._last = place
        self._filled = place.filled(self.length) - self._cancelling(place)
        return self._nearest(problem, self._filled)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """A new length, and a longer memory or none."""
        plain = self._known == 0
        move = current.residual - candidate.residual
        self._learn_length(problem, move, learn=better & plain, shrink=~better & plain)
        self.length = torch.where(better & ~plain, GROW, 1.0) * self.length
        source = problem.target - current.residual if self._source is None else self._source
        self._source = torch.where(better[:, None, None], self._filled, source)
        self._known = torch.where(better, (self._known + 1).clamp_max(self._depth), 0.0)

    def keep(self, index: Tensor) -> None:
        """Forgets all problems but those of the given positions."""
        super().keep(index)
        self._known, self._filled = self._known[index], self._filled[index]
        self._differences = [place.kept(index) for place in self._differences]
        self._last = None if self._last is None else self._last.kept(index)
        self._source = None if self._source is None else self._source[index]

    def _cancelling(self, place: Place) -> Tensor:
        """The combination of differences of fill-ins whose changes cancel the last change best; (B, m, n)."""
        fills = [difference.filled(self.length) for difference in self._differences]
        combination = torch.zeros_like(place.point)
        if not fills:
            return combination
        changes = [fill - part.source for fill, part in zip(fills, self._differences, strict=True)]
        matrix = torch.stack([change.flatten(1) for change in changes], 1)  # (B, d, m * n)
        counted = torch.arange(len(fills), device=matrix.device) < self._known[:, None]
        scale = counted / torch.linalg.vector_norm(matrix, dim=2).clamp_min(torch.finfo(matrix.dtype).tiny)
        matrix = matrix * scale[:, :, None]
        change = (place.filled(self.length) - place.source).flatten(1)
        values, vectors = torch.linalg.eigh((matrix @ matrix.mT).double())
        turned = (vectors.mT @ (matrix @ change[:, :, None]).double())[:, :, 0]
        shares = (vectors @ (turned / (values.clamp_min(0) + self._ridge))[:, :, None])[:, :, 0]
        for fill, share in zip(fills, (shares.to(scale.dtype) * scale).unbind(1), strict=True):
            combination += share[:, None, None] * fill
        return combination
