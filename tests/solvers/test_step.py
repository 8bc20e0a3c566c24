from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fwsvd_export.solvers import step
from fwsvd_export.solvers.step import STEP_TOLERANCE, project

SHAPES = [(1, 24, 64), (3, 40, 40), (2, 64, 96)]
RANK, DIRECTIONS = 6, 14


def normal(*size: int, seed: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def orthonormal(rows: Tensor) -> Tensor:
    return torch.linalg.qr(rows.mT).Q.mT


def decaying(shape: tuple[int, int, int], seed: int, decades: float = 2.0) -> Tensor:
    """Random matrices (B, m, n) whose singular values fall by that many powers of ten, each of its own size."""
    batch, rows, columns = shape
    left = orthonormal(normal(batch, rows, rows, seed=seed))
    right = orthonormal(normal(batch, rows, columns, seed=seed + 1))
    sizes = 10 ** torch.arange(batch)[:, None, None]
    return sizes * (left * torch.logspace(0, -decades, rows)) @ right


def right_directions(target: Tensor) -> Tensor:
    return torch.linalg.svd(target, full_matrices=False).Vh[:, :DIRECTIONS].contiguous()


def least(target: Tensor, rank: int = RANK) -> Tensor:
    """The squared distance (B) to the nearest matrix of the rank."""
    return torch.linalg.svdvals(target.double())[:, rank:].square().sum(1)


def distance(target: Tensor, projection: step.Projection) -> Tensor:
    return (target.double() - projection.up.double() @ projection.down.double()).square().sum((1, 2))


def check_form(projection: step.Projection, directions: int = DIRECTIONS) -> None:
    batch = len(projection.up)
    one = torch.eye(RANK).expand(batch, RANK, RANK)
    torch.testing.assert_close(projection.up.mT @ projection.up, one, rtol=0, atol=1e-5)
    lengths = torch.linalg.vector_norm(projection.down, dim=2)
    angles = projection.down @ projection.down.mT / (lengths[:, :, None] * lengths[:, None])
    torch.testing.assert_close(angles, one, rtol=0, atol=1e-3)
    assert bool((lengths.diff(dim=1) <= 1e-5 * lengths[:, :1]).all()), "strongest first"
    assert projection.basis.shape[1] == directions
    torch.testing.assert_close(
        projection.basis @ projection.basis.mT, torch.eye(directions).expand(batch, -1, -1), rtol=0, atol=1e-2
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("decades", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("change", [0.0, 1e-3, 0.1, None])
def test_the_projection_is_as_near_as_the_full_svd(
    shape: tuple[int, int, int], decades: float, change: float | None
) -> None:
    for seed in range(10):
        target = decaying(shape, seed, decades)
        basis = orthonormal(normal(shape[0], DIRECTIONS, shape[2], seed=seed + 2))
        if change is not None:
            scale = change * torch.linalg.matrix_norm(target)[:, None, None] / (shape[1] * shape[2]) ** 0.5
            basis = right_directions(target + scale * normal(*shape, seed=seed + 3))
        projection = project(target, basis, RANK)
        check_form(projection)
        assert bool((distance(target, projection) <= (1 + STEP_TOLERANCE) * least(target)).all())


def test_a_warm_start_needs_no_eigenvectors_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_exact", None)
    target = decaying((3, 24, 64), 0)
    projection = project(target, right_directions(target + 1e-3 * normal(3, 24, 64, seed=5)), RANK)
    again = project(target, projection.basis, RANK)
    torch.testing.assert_close(again.up @ again.down, projection.up @ projection.down, rtol=0, atol=0.1)


def test_a_basis_without_what_matters_leads_to_the_exact_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    exact = step._exact
    monkeypatch.setattr(step, "_exact", lambda *given: called.append(1) or exact(*given))
    target = decaying((2, 64, 96), 0, decades=0.2)
    weak = torch.linalg.svd(target, full_matrices=False).Vh[:, -DIRECTIONS:]
    projection = project(target, orthonormal(weak + 0.3 * normal(2, DIRECTIONS, 96, seed=1)), RANK)
    assert called
    check_form(projection)
    torch.testing.assert_close(distance(target, projection), least(target), rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [1.0, 0.0])
def test_targets_of_less_than_the_rank_are_reached(size: float) -> None:
    target = size * normal(2, 24, 2, seed=0) @ normal(2, 2, 64, seed=1)
    projection = project(target, orthonormal(normal(2, DIRECTIONS, 64, seed=2)), RANK)
    torch.testing.assert_close(projection.up @ projection.down, target, rtol=0, atol=1e-4)
    assert bool(projection.basis.isfinite().all())
