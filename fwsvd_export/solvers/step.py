"""The projection inside em, nesterov and anderson: the nearest matrix of a rank, without a full SVD.

Successive targets differ little, so the right singular directions of the last one are a warm start for subspace
iteration (Halko, Martinsson & Tropp 2011, arXiv 0909.4061, algorithm 4.4): usually one pass, four thin products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# The squared distance to the target exceeds the full SVD's by at most about this share (tested)
STEP_TOLERANCE = 1e-3
MAX_PASSES = 8  # a warm start that needs more is none: the Gram matrix is decomposed instead


@dataclass(frozen=True)
class Projection:
    """The nearest matrix of rank r, up @ down, and the directions to start from next time.

    Attributes:
        up: (B, m, r), orthonormal columns.
        down: (B, r, n), orthogonal rows, strongest first.
        basis: (B, k, n) with k >= r, orthogonal rows of length one.
    """

    up: Tensor
    down: Tensor
    basis: Tensor


def normalised_rows(matrix: Tensor) -> Tensor:
    """The rows (B, k, n) at length one; rows of zeros stay."""
    lengths: Tensor = torch.linalg.vector_norm(matrix, dim=2, keepdim=True)
    return matrix / lengths.clamp_min(torch.finfo(matrix.dtype).tiny)


def project(target: Tensor, basis: Tensor, rank: int) -> Projection:
    """The best approximation of target (B, m, n) by the given rank, to within ``STEP_TOLERANCE`` from a warm basis.

    A pass replaces the basis by the row space of Q^T T, Q spanning T basis^T. When the energy it captures hardly grows,
    measured against what is not captured, the directions have settled. The first pass is measured against the basis
    itself, whose rows are orthogonal. (A basis that misses strong directions altogether can look settled; the driver
    then sees a loss that does not fall and drops the step.)
    """
    total = target.square().sum((1, 2), dtype=torch.float64)
    reached = target @ basis.mT  # (B, m, k)
    before = reached.square().sum((1, 2), dtype=torch.float64)
    for _ in range(MAX_PASSES):
        left = torch.linalg.qr(reached).Q
        captured = left.mT @ target  # (B, k, n)
        energy = captured.square().sum((1, 2), dtype=torch.float64)
        if bool((energy - before <= STEP_TOLERANCE * (total - energy)).all()):
            return _truncated(left, captured, rank)
        before, reached = energy, target @ captured.mT
    return _exact(target, rank, basis.shape[1])


def _truncated(left: Tensor, captured: Tensor, rank: int) -> Projection:
    """Rotates an orthonormal left (B, m, k) and its share captured (B, k, n) to singular directions and cuts."""
    wide = captured.double()  # squares in float32 would mix all directions below a thousandth of the strongest
    rotation = torch.linalg.eigh(wide @ wide.mT).eigenvectors.flip(2).to(captured.dtype)
    turned = rotation.mT @ captured
    return Projection(left @ rotation[:, :, :rank], turned[:, :rank], normalised_rows(turned))


def _exact(target: Tensor, rank: int, directions: int) -> Projection:
    """By the eigenvectors of the Gram matrix of the smaller side, float64."""
    wide = target.double()
    left = torch.linalg.eigh(wide @ wide.mT).eigenvectors.flip(2)[:, :, :directions]
    turned = (left.mT @ wide).to(target.dtype)
    return Projection(left[:, :, :rank].to(target.dtype), turned[:, :rank], normalised_rows(turned))
