from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.errors import RankError, WeightError
from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Factors
from fwsvd_export.solvers.als import AlsOptions
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.em import Em
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled, iterate_at
from fwsvd_export.solvers.starts import STARTS, start_factors

Make = Callable[..., LayerProblem]
Loss = Callable[[LayerProblem, Factors], float]
NOTE = "the task never uses this layer (its statistics are zero): truncated by plain SVD"


class Fake:
    """A method of one line; it records what the driver tells it."""

    def __init__(self, candidate: Callable[[Scaled, Iterate, int], Iterate]) -> None:
        self.told: list[list[bool]] = []
        self.kept: list[list[int]] = []
        self._candidate = candidate

    def __call__(self, problem: Scaled, directions: Tensor, options: Any) -> Fake:
        return self

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        return self._candidate(problem, current, len(self.told) + 1)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        self.told.append(better.tolist())

    def keep(self, index: Tensor) -> None:
        self.kept.append(index.tolist())


def times(share: float) -> Callable[[Scaled, Iterate, int], Iterate]:
    return lambda problem, current, iteration: iterate_at(problem, share * current.up, current.down)


def losing(falls: Callable[[int], list[float]]) -> Fake:
    """Stays where it is and claims the share of the loss that is left after each iteration."""
    return Fake(lambda problem, current, iteration: replace(current, loss=current.loss * Tensor(falls(iteration))))


def start_of(problem: LayerProblem, start: str = "rank-one") -> Factors:
    return truncate(STARTS[start](problem.weight, problem.elements, problem.layer), problem.rank, problem.layer)


def product(factors: Factors | None) -> Tensor:
    assert factors is not None
    return factors.up @ factors.down


@pytest.mark.parametrize("share", [2.0, -1.0, 0.0, float("nan"), float("inf"), 1.0])
@pytest.mark.parametrize("start", STARTS)
def test_candidates_that_are_not_better_leave_the_start(share: float, start: str, make_problem: Make) -> None:
    problem, fake = make_problem(0), Fake(times(share))
    (solution,) = minimise([problem], fake, IterationOptions(start=start))
    torch.testing.assert_close(product(solution.factors), product(start_of(problem, start)), rtol=0, atol=1e-5)
    assert solution.trace == (solution.loss,) * 21
    assert solution.status == "converged after 20 iterations, 0.0% below the start"
    assert fake.told == [[False]] * 20


def test_the_best_iterate_is_kept_while_others_are_tried(make_problem: Make, loss_of: Loss) -> None:
    layer = make_problem(1)

    def candidate(problem: Scaled, current: Iterate, iteration: int) -> Iterate:
        start = {1: "row", 3: "rank-one", 4: "row"}.get(iteration)
        if start is None:
            return times(float("nan") if iteration == 2 else 3.0)(problem, current, iteration)
        up, down = start_factors(problem, [layer], start)
        return iterate_at(problem, up[:, :, : layer.rank], down[:, : layer.rank])

    fake = Fake(candidate)
    (solution,) = minimise([layer], fake, IterationOptions(start="svd", max_iterations=5))
    assert fake.told == [[True], [False], [True], [False], [False]]
    best = start_of(layer, "rank-one")
    torch.testing.assert_close(product(solution.factors), product(best), rtol=0, atol=1e-5)
    losses = [loss_of(layer, start_of(layer, start)) for start in ("svd", "row", "row", *["rank-one"] * 3)]
    assert solution.trace == pytest.approx(losses, rel=1e-5)
    assert solution.loss == solution.trace[-1]


def falling_until(last: int) -> Callable[[int], list[float]]:
    return lambda iteration: [0.9 if iteration <= last else 1.0]


@pytest.mark.parametrize(
    ("falls", "iterations"),
    [
        (falling_until(0), 20),  # never: after the fewest iterations
        (falling_until(10), 20),
        (falling_until(11), 22),  # the second half of 22 begins where nothing falls any more
        (falling_until(25), 50),
        (lambda iteration: [1e-13 if iteration == 3 else 0.9], 3),  # an exact fit is enough at once
        (lambda iteration: [1 - 1e-4], 20),  # ten such falls are less than the tolerance of 0.2 %
        (lambda iteration: [iteration / (iteration + 1)], 60),  # 1 / k never falls by little: it runs to the end
    ],
)
def test_it_stops_when_the_second_half_of_the_iterations_gained_little(
    falls: Callable[[int], list[float]], iterations: int, make_problem: Make
) -> None:
    (solution,) = minimise([make_problem(2)], losing(falls), IterationOptions(max_iterations=60))
    assert len(solution.trace) == iterations + 1
    assert solution.settled == (iterations < 60)


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_the_tolerance_is_a_share_of_the_loss(tolerance: float, make_problem: Make) -> None:
    options = IterationOptions(max_iterations=40, tolerance=tolerance)
    (solution,) = minimise([make_problem(2)], losing(lambda iteration: [1 - 1e-3]), options)
    assert solution.settled == (tolerance == 0.02)


def test_als_may_stop_sooner(make_problem: Make) -> None:
    (solution,) = minimise([make_problem(2)], losing(falling_until(0)), AlsOptions())
    assert solution.status == f"converged after {AlsOptions().fewest} iterations, 0.0% below the start"
    assert AlsOptions().fewest < IterationOptions().fewest


def test_a_loss_that_still_falls_at_the_end_is_said_with_what_to_do(make_problem: Make) -> None:
    (solution,) = minimise([make_problem(2)], losing(lambda iteration: [0.9]), IterationOptions(max_iterations=7))
    assert solution.status == (
        "stopped after 7 iterations, 52.2% below the start, before the loss had settled: raise max_iterations above 7"
    )
    assert not solution.settled
    assert len(solution.trace) == 8


def test_problems_leave_the_stack_each_at_its_own_time(make_problem: Make, loss_of: Loss) -> None:
    layers = [make_problem(seed) for seed in range(4)]
    lasts = torch.tensor([30, 10, 15, 10])
    standing = [lasts]

    def candidate(problem: Scaled, current: Iterate, iteration: int) -> Iterate:
        if len(current.loss) < len(standing[-1]):
            standing.append(standing[-1][fake.kept[-1]])
        return replace(current, loss=torch.where(standing[-1] >= iteration, 0.9, 1.0) * current.loss)

    fake = Fake(candidate)
    solutions = minimise(layers, fake, IterationOptions())
    assert fake.kept == [[0, 2], [0]]
    assert [len(solution.trace) - 1 for solution in solutions] == [60, 20, 30, 20]
    for layer, last, solution in zip(layers, lasts.tolist(), solutions, strict=True):
        start = start_of(layer)
        torch.testing.assert_close(product(solution.factors), product(start), rtol=0, atol=1e-5)
        assert solution.trace[0] == pytest.approx(loss_of(layer, start), rel=1e-5)
        assert solution.loss == pytest.approx(0.9**last * solution.trace[0])
        assert solution.settled


def test_a_layer_that_the_task_never_uses_gets_plain_svd_and_advice_among_others(
    make_problem: Make, loss_of: Loss
) -> None:
    layers = [make_problem(seed) for seed in range(3)]
    layers[1] = replace(layers[1], elements=torch.zeros(24, 64))
    first, unused, last = minimise(layers, Em, IterationOptions())
    torch.testing.assert_close(product(unused.factors), product(start_of(layers[1], "svd")), rtol=0, atol=1e-5)
    assert (unused.loss, unused.status, unused.settled, unused.trace) == (0.0, NOTE, False, ())
    for layer, solution in ((layers[0], first), (layers[2], last)):
        assert solution.factors is not None
        assert solution.loss == pytest.approx(loss_of(layer, solution.factors), rel=1e-5)
    (alone,) = minimise([layers[1]], Em, IterationOptions())
    assert (alone.status, alone.settled) == (NOTE, False)
    assert minimise([], Em, IterationOptions()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("part", "named"), [("weight", "weights"), ("elements", "statistics")])
@pytest.mark.parametrize("place", [0, 1])
def test_values_that_are_not_finite_are_refused_with_the_layer(
    part: str, named: str, value: float, place: int, make_problem: Make
) -> None:
    layers = [make_problem(0), replace(make_problem(1), layer="the other layer")]
    broken = getattr(layers[place], part).clone()
    broken[3, 5] = value
    layers[place] = replace(layers[place], **{part: broken})
    message = f"^{layers[place].layer}: its {named} hold NaN or infinite values; only finite ones can be factorised$"
    with pytest.raises(WeightError, match=message):
        minimise(layers, Em, IterationOptions())


def test_a_layer_that_the_task_never_uses_must_be_finite_too(make_problem: Make) -> None:
    layer = replace(make_problem(0), weight=torch.full((24, 64), float("nan")), elements=torch.zeros(24, 64))
    with pytest.raises(WeightError, match=f"^{layer.layer}: its weights hold NaN"):
        minimise([layer], Em, IterationOptions())


def test_negative_element_weights_are_refused(make_problem: Make) -> None:
    layer = make_problem(0)
    elements = layer.elements.clone()
    elements[3, 5] = -1e-6
    message = f"^{layer.layer}: its element weights hold negative values; only zero and above can be weights$"
    with pytest.raises(WeightError, match=message):
        minimise([replace(layer, elements=elements)], Em, IterationOptions())


@pytest.mark.parametrize("rank", [0, -1, 25])
def test_a_rank_that_the_layer_cannot_have_is_refused(rank: int) -> None:
    with pytest.raises(RankError, match=rf"rank {rank} for layer: 1 to 24"):
        LayerProblem(torch.ones(24, 64), torch.ones(24, 64), rank, "layer")
