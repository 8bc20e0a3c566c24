from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fwsvd_export.solvers.fill_in import LONGEST, SHRINK, FillIn
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import LayerProblem, Scaled, scaled
from fwsvd_export.solvers.starts import start_factors

Made = tuple[Scaled, FillIn]


@pytest.fixture
def made(make_problem: Callable[..., LayerProblem]) -> Made:
    """Two problems and the state of their fill-ins."""
    layers = [make_problem(seed) for seed in range(2)]
    problem = scaled(layers)
    _, down = start_factors(problem, layers, "rank-one")
    return problem, FillIn(problem, down, IterationOptions())


def test_the_first_length_lies_between_the_safe_and_the_typical(made: Made) -> None:
    problem, state = made
    assert bool((state.length >= 1 / problem.weights.amax((1, 2))).all())
    assert bool((state.length <= 1 / problem.weights.mean((1, 2))).all())


def test_a_length_is_the_inverse_curvature_of_the_move_or_shrinks(made: Made) -> None:
    problem, state = made
    before = state.length.clone()
    move = torch.randn(problem.target.shape, generator=torch.Generator().manual_seed(0))
    state._learn_length(problem, move, learn=torch.tensor([True, False]), shrink=torch.tensor([False, True]))
    curvature = (problem.weights[0] * move[0].square()).sum() / move[0].square().sum()
    assert float(state.length[0]) == pytest.approx(float(1 / curvature), rel=1e-5)
    assert float(state.length[1]) == pytest.approx(SHRINK * float(before[1]))


def test_a_move_that_touches_no_weight_teaches_nothing_and_a_flat_one_little(made: Made) -> None:
    problem, state = made
    before = state.length.clone()
    everywhere, nowhere = torch.tensor([True, True]), torch.tensor([False, False])
    state._learn_length(problem, torch.zeros_like(problem.target), learn=everywhere, shrink=nowhere)
    assert torch.equal(state.length, before)
    problem.weights.mul_(1e-9)
    state._learn_length(problem, torch.ones_like(problem.target), learn=everywhere, shrink=nowhere)
    torch.testing.assert_close(state.length, LONGEST * before)


def test_the_nearest_matrix_is_that_of_the_svd(made: Made) -> None:
    problem, state = made
    nearest = state._nearest(problem, problem.target)
    rest = torch.linalg.svdvals(problem.target)[:, problem.rank :].square().sum(1)
    torch.testing.assert_close(nearest.residual.square().sum((1, 2)), rest, rtol=2e-3, atol=0)


def test_what_is_kept_belongs_to_the_problems_that_stay(made: Made) -> None:
    _, state = made
    length = state.length.clone()
    state.keep(torch.tensor([1]))
    assert torch.equal(state.length, length[1:])
