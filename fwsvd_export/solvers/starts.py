"""Closed forms that the element-weighted iterations begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose, truncate
from fwsvd_export.linalg.weighting import ROW_DAMPING, Weighting
from fwsvd_export.records import Decomposition
from fwsvd_export.solvers.problem import LayerProblem, Scaled

SPARE_DIRECTIONS = 8  # beyond the rank, kept by the warm-started steps: they converge faster for it


def plain_start(weight: Tensor, elements: Tensor, layer: str) -> Decomposition:
    """Truncated SVD, which knows nothing of the weights; what earlier implementations start from."""
    return decompose(weight, None, None, layer)


def row_start(weight: Tensor, elements: Tensor, layer: str) -> Decomposition:
    """Row-weighted SVD: one weight per input feature, as ``fwsvd``."""
    return decompose(weight, None, _sums(elements, 0), layer)


def rank_one_start(weight: Tensor, elements: Tensor, layer: str) -> Decomposition:
    """Row × column weights: exact when the element weights are the product of their sums over rows and columns."""
    return decompose(weight, _sums(elements, 1), _sums(elements, 0), layer)


def _sums(elements: Tensor, over: int) -> Weighting:
    """Sums over one dimension in units of their mean, which changes no factors and keeps their squares in range."""
    sums = elements.sum(over, dtype=torch.float64)
    return Weighting(sums / sums.mean().clamp_min(torch.finfo(torch.float64).tiny), ROW_DAMPING)


# name -> (weight (out, in), element weights (out, in), layer name) -> closed form
STARTS: dict[str, Callable[[Tensor, Tensor, str], Decomposition]] = {
    "rank-one": rank_one_start,
    "row": row_start,
    "svd": plain_start,
}


def start_factors(problem: Scaled, layers: Sequence[LayerProblem], start: str) -> tuple[Tensor, Tensor]:
    """A closed form in scaled coordinates with some directions beyond the rank: up (B, m, k) and down (B, k, n)."""
    ups, downs = [], []
    for index, layer in enumerate(layers):
        decomposition = STARTS[start](layer.weight, layer.elements, layer.layer)
        directions = min(layer.rank + SPARE_DIRECTIONS, min(layer.weight.shape))
        factors = truncate(decomposition, directions, layer.layer)
        up, down = (factors.down.T, factors.up.T) if layer.tall else (factors.up, factors.down)
        ups.append((problem.left[index][:, None] * up).float())
        downs.append((down * problem.right[index]).float())
    return torch.stack(ups), torch.stack(downs)
