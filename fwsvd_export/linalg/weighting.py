"""Positive semi-definite weightings of one side of a matrix, and their square roots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

# Shares of the mean diagonal that damp the statistics of a layer
ROW_DAMPING = 1e-8  # of one weight per feature: keeps features of zero Fisher solvable, changes no other
INPUT_DAMPING = 1e-4  # of the second moment of inputs; measured on three fine-tuned models, flat around it
GRADIENT_DAMPING = 1e-2  # of the second moment of output gradients; measured as INPUT_DAMPING was


@dataclass(frozen=True)
class Weighting:
    """A positive semi-definite weighting of one side of a matrix, damped when it is used.

    Attributes:
        values: (n, n) symmetric (the lower triangle is what roots read), or (n) for a diagonal one.
        damping: multiple of the mean diagonal that is added to the diagonal.
        count: what ``values`` are a sum over; the weighting is their mean.
    """

    values: Tensor
    damping: float
    count: int = 1

    def floor(self) -> Tensor:
        """What the damping adds to the diagonal of the mean, float64."""
        diagonal = self.values if self.values.ndim == 1 else self.values.diagonal()
        return self.damping / self.count * diagonal.double().mean()

    def mean(self) -> Tensor:
        """``values`` over ``count`` in float64, (n, n) or (n); a copy."""
        return self.values.to(torch.float64, copy=True).div_(self.count)

    def damped(self) -> Tensor:
        """The mean with the damping added, float64; (n, n) or (n)."""
        mean = self.mean()
        (mean if mean.ndim == 1 else mean.diagonal()).add_(self.floor())
        return mean


@dataclass(frozen=True)
class Root:
    """R with R R^T = a damped weighting: a lower triangle, or vectors * scales, or diag(scales) without vectors."""

    triangle: Tensor | None = None
    vectors: Tensor | None = None
    scales: Tensor | None = None

    def transposed_times(self, matrix: Tensor) -> Tensor:
        """R^T matrix; (n, m) to (n, m)."""
        if self.triangle is not None:
            return self.triangle.T @ matrix
        turned = matrix if self.vectors is None else self.vectors.T @ matrix
        return cast(Tensor, self.scales)[:, None] * turned

    def inverse_transposed_times(self, matrix: Tensor) -> Tensor:
        """R^-T matrix; (n, m) to (n, m)."""
        if self.triangle is not None:
            solved: Tensor = torch.linalg.solve_triangular(self.triangle.T, matrix, upper=True)
            return solved
        scaled = matrix / cast(Tensor, self.scales)[:, None]
        return scaled if self.vectors is None else self.vectors @ scaled


def damped_root(weighting: Weighting) -> Root:
    """Square root of a weighting: Cholesky, or the eigen-decomposition when rounding left it indefinite.

    Any square root gives the same factors, and Cholesky's is fifteen times cheaper. The eigen-decomposition exists for
    every symmetric matrix (what rounding put below zero is clipped before the damping), so nothing is ever "not
    positive definite".
    """
    damped = weighting.damped()
    if damped.ndim == 1:
        return Root(scales=damped.sqrt())
    triangle, failed = torch.linalg.cholesky_ex(damped)
    if not bool(failed):
        return Root(triangle=triangle)
    eigenvalues, vectors = torch.linalg.eigh(weighting.mean())
    return Root(vectors=vectors, scales=(eigenvalues.clamp_min(0) + weighting.floor()).sqrt())
