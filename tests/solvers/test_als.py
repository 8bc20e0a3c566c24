from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fwsvd_export.solvers import als
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled

BATCH, ROWS, COLUMNS, RANK = 3, 11, 17, 5
Case = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def case() -> Case:
    """Weights (B, p, q) >= 0, a residual (B, p, q) and orthonormal rows (B, r, q)."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(BATCH, ROWS, COLUMNS, generator=generator).exp()
    residual = torch.randn(BATCH, ROWS, COLUMNS, generator=generator)
    other = torch.linalg.qr(torch.randn(BATCH, COLUMNS, RANK, generator=generator)).Q.mT
    return weights, residual, other


def naive_systems(weights: Tensor, other: Tensor) -> Tensor:
    systems = torch.empty(BATCH, ROWS, RANK, RANK, dtype=torch.float64)
    for layer in range(BATCH):
        for row in range(ROWS):
            rows = other[layer].double()
            systems[layer, row] = rows @ torch.diag(weights[layer, row].double()) @ rows.T
    return systems


@pytest.mark.parametrize("block", [1, 2, 5, 16])
def test_the_systems_of_all_rows_are_those_of_each(block: int, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(als, "PAIR_BLOCK", block)
    weights, _, other = case
    systems = als.row_systems(weights, other).tril().double()
    torch.testing.assert_close(systems, naive_systems(weights, other).tril(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows_at_once", [1, 4, 100])
@pytest.mark.parametrize("damping", [1e-6, 0.1])
def test_the_changes_solve_the_damped_system_of_every_row(
    rows_at_once: int, damping: float, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(als, "PAIR_BLOCK", 2)
    monkeypatch.setattr(als, "SYSTEM_BYTES", rows_at_once * 4 * BATCH * RANK * RANK)
    weights, residual, other = case
    systems = naive_systems(weights, other)
    expected = torch.empty(BATCH, ROWS, RANK, dtype=torch.float64)
    for layer in range(BATCH):
        for row in range(ROWS):
            system = systems[layer, row]
            damped = system + damping * system.diagonal().mean() * torch.eye(RANK)
            right = other[layer].double() @ (weights * residual)[layer, row].double()
            expected[layer, row] = torch.linalg.solve(damped, right)
    found = als.changes(weights, weights * residual, other, damping)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_changes_are_those_of_weighted_least_squares(case: Case) -> None:
    weights, residual, other = case
    found = als.changes(weights, weights * residual, other, 1e-6)
    for layer in range(BATCH):
        for row in range(ROWS):
            roots = weights[layer, row].double().sqrt()
            best = torch.linalg.lstsq((other[layer] * roots).double().T, roots * residual[layer, row]).solution
            torch.testing.assert_close(found[layer, row].double(), best, rtol=1e-3, atol=1e-4)


def test_a_row_without_weights_stays_where_it_was(case: Case) -> None:
    weights, residual, other = case
    weights[:, 4] = 0
    found = als.changes(weights, weights * residual, other, 1e-6)
    assert not bool(found[:, 4].any())
    assert bool(found[:, 3].any())


@pytest.mark.parametrize("damping", [1e-6, 1e-12])
def test_rows_with_fewer_weights_than_the_rank_are_solved_and_stay_small(damping: float, case: Case) -> None:
    weights, residual, other = case
    weights[:, :, 2:] = 0
    weights[:, :, 1] *= 1e-4
    found = als.changes(weights, weights * residual, other, damping)
    assert bool(found.isfinite().all())
    left = residual - found @ other
    before, after = ((weights * error.square()).sum(2) for error in (residual, left))
    assert bool((after <= before * (1 + 1e-4)).all())
    assert bool((after < 0.1 * before).float().mean() > 0.9)


def test_a_system_that_no_damping_makes_definite_changes_nothing(case: Case) -> None:
    weights, residual, other = case
    weights[:, :, 2:] = 0
    found = als.changes(weights, weights * residual, other, 1e-30)
    unsolved = ~found.any(2)
    assert bool(unsolved.any())
    assert bool(found.isfinite().all())
    assert float(found.norm()) < 10 * float(residual.norm())


class Cheap:
    """Stands for the method of the warm-up: counts its steps, which lead nowhere."""

    def __init__(self) -> None:
        self.steps = 0
        self.kept: list[list[int]] = []

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        self.steps += 1
        return current

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        assert not bool(better.any())

    def keep(self, index: Tensor) -> None:
        self.kept.append(index.tolist())


def plain_als(problem: Scaled, directions: Tensor, options: als.AlsOptions) -> als.Als:
    return als.Als(options, Cheap())


@pytest.mark.parametrize("warm_up", [0, 1, 5])
def test_the_warm_up_comes_once_before_the_first_sweep(warm_up: int, make_problem: Callable[..., LayerProblem]) -> None:
    cheap = Cheap()
    options = als.AlsOptions(warm_up=warm_up, max_iterations=4, tolerance=0.0)
    minimise([make_problem(0)], lambda problem, directions, options: als.Als(options, cheap), options)
    assert cheap.steps == warm_up


def test_the_method_of_the_warm_up_forgets_what_als_forgets() -> None:
    cheap = Cheap()
    als.Als(als.AlsOptions(), cheap).keep(torch.tensor([2, 0]))
    assert cheap.kept == [[2, 0]]


@pytest.mark.parametrize("relaxation", [1.0, 1.7, 1.99])
@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_every_sweep_lowers_the_loss_for_any_relaxation_below_two(
    relaxation: float, spread: float, make_problem: Callable[..., LayerProblem]
) -> None:
    options = als.AlsOptions(relaxation=relaxation, warm_up=0, max_iterations=20, tolerance=0.0)
    (solution,) = minimise([make_problem(2, spread=spread)], plain_als, options)
    assert all(later < earlier for earlier, later in zip(solution.trace[:16], solution.trace[1:16], strict=False))


def test_overdone_changes_need_fewer_sweeps_than_plain_alternation(make_problem: Callable[..., LayerProblem]) -> None:
    problems = [make_problem(seed, spread=1.25) for seed in range(6)]

    def sweeps(relaxation: float) -> int:
        """Until the loss is within a thousandth of its last value."""
        options = als.AlsOptions(relaxation=relaxation, warm_up=0, max_iterations=200, tolerance=0.0)
        traces = [solution.trace for solution in minimise(problems, plain_als, options)]
        return sum(sum(loss > 1.001 * trace[-1] for loss in trace) for trace in traces)

    assert sweeps(1.7) < 0.7 * sweeps(1.0)
