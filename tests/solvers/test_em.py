from __future__ import annotations

from collections.abc import Callable

import torch

from fwsvd_export.solvers.em import Em
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled, iterate_at, scaled
from fwsvd_export.solvers.starts import start_factors

Make = Callable[..., LayerProblem]


def begun(layer: LayerProblem) -> tuple[Scaled, Iterate, torch.Tensor]:
    """The scaled problem, its start and the start's directions."""
    problem = scaled([layer])
    up, down = start_factors(problem, [layer], "rank-one")
    return problem, iterate_at(problem, up[:, :, : problem.rank], down[:, : problem.rank]), down


def test_a_step_is_the_textbooks_with_its_own_length(make_problem: Make) -> None:
    problem, current, down = begun(make_problem(0))
    state = Em(problem, down, IterationOptions())
    filled = problem.target - current.residual + state.length[:, None, None] * problem.weights * current.residual
    left, values, right = torch.linalg.svd(filled, full_matrices=False)
    expected = (left[:, :, :6] * values[:, None, :6]) @ right[:, :6]
    candidate = state.propose(problem, current)
    excess = (filled - candidate.up @ candidate.down).square().sum() / (filled - expected).square().sum()
    assert 1 - 1e-5 <= float(excess) <= 1 + 1e-3
    assert float(candidate.loss) < float(current.loss)


def test_a_step_that_failed_is_shorter_the_next_time(make_problem: Make) -> None:
    problem, current, down = begun(make_problem(0))
    state = Em(problem, down, IterationOptions())
    before = float(state.length)
    candidate = state.propose(problem, current)
    state.learn(problem, current, candidate, torch.tensor([False]))
    assert float(state.length) < before
