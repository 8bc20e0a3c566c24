"""Which inputs of a linear readout can go, when the others take over what they gave: the optimal brain surgeon.

With second moment A of the inputs, leaving out input j and fitting the other columns of the readout again raises the
squared error by |w_j|² / [A^-1]_jj (Hassibi & Stork 1992; for whole structures: Kurtic et al. 2023, ZipLM, arXiv
2302.04089, equations 3 and 4). Inputs go in blocks, those with the smallest rise first; after each block readout and
inverse are those of what is left.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

# As a share of the mean diagonal, where a moment is not positive definite; ten times more each time
LEAST_DAMPING = 1e-8
BLOCKS = 96  # in which all inputs but the last would go: one at a time is no better and takes so much longer


def removal_order(readout: Tensor, moment: Tensor, keep: int) -> Tensor:
    """The inputs in the order in which they go, the least needed first, int64.

    Args:
        readout: (outputs, n), multiplied by a root of the outputs' weighting where they do not count alike.
        moment: second moment of the inputs, (n, n), positive definite.
        keep: how many are left in the end; they stand last, in no particular order.

    Example:
        >>> removal_order(torch.tensor([[3.0, 1.0, 2.0]]), torch.eye(3), keep=1)
        tensor([1, 2, 0])
    """
    left = torch.arange(moment.shape[0], device=moment.device)
    block = max(1, len(left) // BLOCKS)
    weights = readout.double()
    inverse = torch.cholesky_inverse(_triangle(moment.double()))
    gone = []
    while len(left) > keep:
        rises = weights.square().sum(dim=0) / inverse.diagonal()
        count = min(block, len(left) - keep)
        order = rises.argsort()
        out, stay = order[:count], order[count:].sort().values
        gone.append(left[out])
        corner = inverse[out][:, stay]
        share = torch.linalg.solve(inverse[out][:, out], corner)  # (out, stay)
        weights = weights[:, stay] - weights[:, out] @ share
        inverse = inverse[stay][:, stay] - corner.T @ share
        left = left[stay]
    return torch.cat([*gone, left])


def refitted(weight: Tensor, moment: Tensor, kept: Tensor) -> Tensor:
    """The readout from some of its inputs that is nearest to the whole one's output, (out, kept), float64.

    Args:
        weight: (out, n).
        moment: second moment of the inputs, (n, n), positive definite.
        kept: which inputs are left.
    """
    moment = moment.double()
    cross = weight.double() @ moment[:, kept]
    return torch.cholesky_solve(cross.T, _triangle(moment[kept][:, kept])).T


def _triangle(moment: Tensor) -> Tensor:
    """The Cholesky factor of a moment, with as much more damping as rounding has left it in need of."""
    triangle, failed = torch.linalg.cholesky_ex(moment)
    share = LEAST_DAMPING
    while bool(failed):
        more = share * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
        triangle, failed = torch.linalg.cholesky_ex(moment + more)
        share *= 10
    return cast(Tensor, triangle)
