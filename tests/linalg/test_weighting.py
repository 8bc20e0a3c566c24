"""Roots of damped weightings."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.linalg.weighting import Weighting, damped_root
from tests.linalg.weightings import matrix, weighting, weighting_matrix


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
