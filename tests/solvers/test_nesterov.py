from __future__ import annotations

from collections.abc import Callable

import torch

from fwsvd_export.solvers.em import Em
from fwsvd_export.solvers.nesterov import Nesterov
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled, iterate_at, scaled
from fwsvd_export.solvers.starts import start_factors

Make = Callable[..., LayerProblem]


def begun(layer: LayerProblem) -> tuple[Scaled, Iterate, torch.Tensor]:
    """The scaled problem, its start and the start's directions."""
    problem = scaled([layer])
    up, down = start_factors(problem, [layer], "rank-one")
    return problem, iterate_at(problem, up[:, :, : problem.rank], down[:, : problem.rank]), down


def test_without_momentum_a_step_is_that_of_em(make_problem: Make) -> None:
    problem, current, down = begun(make_problem(0))
    em, nesterov = (make(problem, down, IterationOptions()) for make in (Em, Nesterov))
    torch.testing.assert_close(nesterov.propose(problem, current).residual, em.propose(problem, current).residual)


def test_momentum_grows_with_successes_and_ends_with_a_failure(make_problem: Make) -> None:
    problem, current, down = begun(make_problem(0))
    em, nesterov = (make(problem, down, IterationOptions()) for make in (Em, Nesterov))

    def away(better: bool) -> float:
        """How far the next proposal is from em's, after the last was judged so."""
        nonlocal current
        candidate = nesterov.propose(problem, current)
        nesterov.learn(problem, current, candidate, torch.tensor([better]))
        current = candidate if better else current
        em.length = nesterov.length
        plain = em.propose(problem, current)
        return float((nesterov.propose(problem, current).residual - plain.residual).norm() / plain.residual.norm())

    assert away(True) > 1e-4
    assert away(True) > 1e-4
    assert away(False) < 1e-4
