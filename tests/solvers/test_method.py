from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fwsvd_export.solvers.method import advance
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled, iterate_at, scaled
from fwsvd_export.solvers.starts import start_factors


class Scripted:
    """Proposes the current factors times one number per problem, and notes what it is told."""

    def __init__(self, shares: list[float]) -> None:
        self.shares = torch.tensor(shares)[:, None, None]
        self.told: list[list[bool]] = []

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        return iterate_at(problem, self.shares * current.up, current.down)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        assert candidate is not current
        self.told.append(better.tolist())

    def keep(self, index: Tensor) -> None:
        raise AssertionError("nothing leaves the stack in one step")


@pytest.mark.parametrize("worse", [3.0, float("nan"), float("inf"), 0.5])
def test_a_step_is_taken_only_by_the_problems_whose_loss_it_lowers(
    worse: float, make_problem: Callable[..., LayerProblem]
) -> None:
    layers = [make_problem(seed) for seed in range(2)]
    problem = scaled(layers)
    up, down = start_factors(problem, layers, "rank-one")
    current = iterate_at(problem, 0.5 * up[:, :, : problem.rank], down[:, : problem.rank])
    method = Scripted([2.0, worse])
    after = advance(method, problem, current)
    assert method.told == [[True, False]]
    torch.testing.assert_close(after.up[0], 2 * current.up[0])
    assert torch.equal(after.up[1], current.up[1])
    assert float(after.loss[0]) < float(current.loss[0])
    assert float(after.loss[1]) == float(current.loss[1])
