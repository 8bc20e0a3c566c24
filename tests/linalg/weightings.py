"""Random matrices and weightings of every kind, and what a weighting means in full."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.linalg.weighting import Weighting

DAMPING = 1e-4


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def weighting(
    kind: str, size: int, seed: int, damping: float = DAMPING, dtype: torch.dtype = torch.float32
) -> Weighting | None:
    if kind == "none":
        return None
    if kind == "diagonal":
        values = matrix(1, size, seed)[0].abs() + 0.01
        values[1:2] = 0
        return Weighting(values, damping)
    rows = matrix(4 * size if kind == "full" else (size + 1) // 2, size, seed).to(dtype)
    gram = rows.T @ rows
    if kind == "indefinite":
        gram -= 1e-7 * gram.diagonal().mean() * torch.eye(size)
    return Weighting(gram, damping)


def weighting_matrix(weighting: Weighting | None, size: int) -> Tensor:
    """The damped weighting as a full positive definite matrix, by another way than the package's."""
    if weighting is None:
        return torch.eye(size, dtype=torch.float64)
    values = weighting.values.double()
    values = torch.diag(values) if values.ndim == 1 else values
    eigenvalues, vectors = torch.linalg.eigh(values)
    floor = weighting.damping * values.trace() / size
    return vectors @ torch.diag(eigenvalues.clamp_min(0) + floor) @ vectors.T
