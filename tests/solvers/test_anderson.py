from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from fwsvd_export.solvers.anderson import Anderson, AndersonOptions
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.problem import LayerProblem, Scaled

Make = Callable[..., LayerProblem]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_anderson_combines_as_many_earlier_steps_as_its_depth(depth: int, make_problem: Make) -> None:
    problem = make_problem(0)
    shallow, deep = (
        minimise([problem], Anderson, AndersonOptions(depth=steps))[0].trace for steps in (depth, depth + 1)
    )
    assert shallow[: depth + 2] == deep[: depth + 2]
    assert shallow[depth + 2] != deep[depth + 2]


@pytest.mark.parametrize("depth", [1, 4])
def test_anderson_holds_no_more_steps_than_its_depth(depth: int, make_problem: Make) -> None:
    made: list[Anderson] = []

    def make(problem: Scaled, directions: Tensor, options: AndersonOptions) -> Anderson:
        made.append(Anderson(problem, directions, options))
        return made[0]

    minimise([make_problem(0)], make, AndersonOptions(depth=depth, max_iterations=10))
    assert len(made[0]._differences) == depth
