"""Roots of damped weightings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fwsvd_export.linalg.weighting import Weighting, damped_root

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


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(
    ("kind", "damping", "form"),
    [
        ("full", 1e-2, "triangle"),
        ("deficient", 1e-4, "triangle"),
        ("indefinite", 1e-9, "vectors"),
        ("diagonal", 1e-8, "scales"),
    ],
)
def test_a_root_squares_to_the_damped_weighting(kind: str, damping: float, form: str, size: int) -> None:
    given = weighting(kind, size, 5, damping, torch.float64)
    assert given is not None
    root = damped_root(given)
    if size > 1:
        forms = [name for name in ("triangle", "vectors", "scales") if getattr(root, name) is not None]
        assert forms[0] == form
    columns = root.transposed_times(torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(columns.T @ columns, weighting_matrix(given, size), rtol=1e-9, atol=1e-12)
    some = matrix(size, 3, 6).double()
    torch.testing.assert_close(root.inverse_transposed_times(root.transposed_times(some)), some, rtol=1e-6, atol=1e-6)


def test_damping_does_not_write_into_the_statistics() -> None:
    values = torch.eye(3, dtype=torch.float64)
    damped_root(Weighting(values, 0.5))
    assert torch.equal(values, torch.eye(3, dtype=torch.float64))
