from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Factors, RowWeights, Solution
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.fwsvd import decompose_rows
from fwsvd_export.solvers.problem import LayerProblem, iterate_at, scaled
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.starts import STARTS, start_factors
from fwsvd_export.solvers.table import SOLVERS

METHODS = [name for name, solver in SOLVERS.items() if isinstance(solver, Iterative)]
Make = Callable[..., LayerProblem]
Loss = Callable[[LayerProblem, Factors], float]

every_method = pytest.mark.parametrize("method", METHODS)
every_start = pytest.mark.parametrize("start", STARTS)


def solve_all(method: str, problems: list[LayerProblem], **options: Any) -> list[Solution]:
    solver = SOLVERS[method]
    assert isinstance(solver, Iterative)
    return minimise(problems, solver.method, solver.options(**options))


def solve(method: str, problem: LayerProblem, **options: Any) -> Solution:
    return solve_all(method, [problem], **options)[0]


def factors_of(solution: Solution) -> Factors:
    assert solution.factors is not None
    return solution.factors


def product(factors: Factors) -> Tensor:
    return factors.up.double() @ factors.down.double()


def start_of(problem: LayerProblem, start: str) -> Factors:
    return truncate(STARTS[start](problem.weight, problem.elements, problem.layer), problem.rank, problem.layer)


def energy_of(problem: LayerProblem) -> float:
    return float((problem.elements.double() * problem.weight.double().square()).sum()) / 2


def transposed(problem: LayerProblem) -> LayerProblem:
    return replace(problem, weight=problem.weight.T, elements=problem.elements.T)


def complaints(problem: LayerProblem, solution: Solution, start: str, loss_of: Loss) -> list[str]:
    """What is wrong with an answer: nothing, whatever the problem."""
    factors, energy = factors_of(solution), energy_of(problem)
    out_features, in_features = problem.weight.shape
    if factors.up.shape != (out_features, problem.rank) or factors.down.shape != (problem.rank, in_features):
        return [f"shapes {tuple(factors.up.shape)} {tuple(factors.down.shape)}"]
    if not bool(factors.up.isfinite().all() and factors.down.isfinite().all()):
        return ["factors that are not finite"]
    loss, before = loss_of(problem, factors), loss_of(problem, start_of(problem, start))
    found = []
    if loss > before * (1 + 1e-5) + 1e-11 * energy:
        found.append(f"loss {loss} above the start's {before}")
    if solution.loss != pytest.approx(loss, rel=1e-4, abs=1e-10 * energy):
        found.append(f"loss {loss} reported as {solution.loss}")
    if any(later > earlier for earlier, later in zip(solution.trace, solution.trace[1:], strict=False)):
        found.append("the trace rises")
    return found


@every_method
@every_start
@pytest.mark.parametrize("shape", [(24, 64), (40, 16), (20, 20)])
def test_the_loss_never_rises_and_is_the_loss_of_the_factors(
    method: str, start: str, shape: tuple[int, int], make_problem: Make, loss_of: Loss
) -> None:
    problem = make_problem(0, shape=shape)
    solution = solve(method, problem, start=start)
    assert complaints(problem, solution, start, loss_of) == []
    assert solution.trace[0] == pytest.approx(loss_of(problem, start_of(problem, start)), rel=1e-5)
    assert solution.trace[-1] == solution.loss == pytest.approx(loss_of(problem, factors_of(solution)), rel=1e-5)
    assert solution.loss < 0.9 * solution.trace[0]
    assert solution.settled


@every_method
@every_start
@pytest.mark.parametrize("closed", ["constant", "by input feature", "product"])
def test_weights_with_a_closed_form_lead_to_it_from_every_start(
    method: str, start: str, closed: str, make_problem: Make, loss_of: Loss
) -> None:
    problem = make_problem(1)
    rows, columns = problem.elements[:, :1], problem.elements[:1]
    elements, best = {
        "constant": (torch.full_like(problem.elements, 3e-7), "svd"),
        "by input feature": (columns.expand_as(problem.elements), "row"),
        "product": (rows * columns, "rank-one"),
    }[closed]
    problem = replace(problem, elements=elements)
    expected = start_of(problem, best)
    solution = solve(method, problem, start=start)
    assert solution.loss == pytest.approx(loss_of(problem, expected), rel=1e-4)
    reached = product(factors_of(solution))
    assert float((reached - product(expected)).norm()) < 1e-2 * float(problem.weight.norm())
    if start == "rank-one":
        torch.testing.assert_close(reached, product(expected), rtol=0, atol=1e-4)
        assert solution.trace[0] == pytest.approx(solution.loss, rel=1e-5)


@every_method
def test_weights_of_input_features_reproduce_fwsvd(method: str, make_problem: Make) -> None:
    problem = make_problem(2)
    weights = problem.elements[0]
    solution = solve(method, replace(problem, elements=weights.expand_as(problem.elements)))
    exact = truncate(decompose_rows(problem.weight, RowWeights(weights, "input"), "layer"), problem.rank, "layer")
    torch.testing.assert_close(product(factors_of(solution)), product(exact), rtol=0, atol=1e-4)


@every_method
@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_full_rank_returns_the_matrix(method: str, shape: tuple[int, int], make_problem: Make) -> None:
    problem = make_problem(3, shape=shape, rank=12)
    solution = solve(method, problem)
    torch.testing.assert_close(product(factors_of(solution)).float(), problem.weight, rtol=0, atol=1e-4)
    assert solution.loss < 1e-9 * energy_of(problem)


@every_method
@every_start
def test_a_low_rank_matrix_is_found_behind_elements_that_do_not_count(method: str, start: str) -> None:
    generator = torch.Generator().manual_seed(4)
    planted = torch.randn(24, 3, generator=generator) @ torch.randn(3, 64, generator=generator)
    counted = torch.rand(24, 64, generator=generator) < 0.8
    noise = torch.randn(24, 64, generator=generator)
    elements = torch.randn(24, 64, generator=generator).exp() * counted
    problem = LayerProblem(torch.where(counted, planted, noise), elements, 3, "layer")
    solution = solve(method, problem, start=start)
    assert solution.trace[0] > 1e-2 * energy_of(problem)
    assert solution.loss < 1e-9 * energy_of(problem)
    torch.testing.assert_close(product(factors_of(solution)).float(), planted, rtol=0, atol=1e-2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [1.0, 1.25])
def test_the_methods_agree_and_are_ahead_of_the_row_weights(
    seed: int, spread: float, make_problem: Make, loss_of: Loss
) -> None:
    problem = make_problem(seed, spread=spread)
    losses = {method: solve(method, problem).loss for method in METHODS}
    assert max(losses.values()) < 1.02 * min(losses.values()), losses
    assert max(losses.values()) < loss_of(problem, start_of(problem, "row"))


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_als_is_ahead_of_thirty_textbook_steps_of_em(spread: float, make_problem: Make) -> None:
    problem = make_problem(5, spread=spread)
    weight, shares = problem.weight.double(), problem.elements.double() / problem.elements.double().max()

    def truncated(matrix: Tensor) -> Tensor:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        return (left[:, : problem.rank] * values[: problem.rank]) @ right[: problem.rank]

    point = truncated(weight)
    losses = []
    for _ in range(30):
        point = truncated(shares * weight + (1 - shares) * point)
        losses.append(float((problem.elements * (weight - point).square()).sum()) / 2)
    assert losses == sorted(losses, reverse=True)
    assert solve("als", problem).loss < losses[-1]


@every_method
def test_transposing_the_problem_transposes_the_answer(method: str, make_problem: Make) -> None:
    problem = make_problem(6)
    wide, tall = solve(method, problem), solve(method, transposed(problem))
    assert tall.loss == pytest.approx(wide.loss, rel=1e-6)
    torch.testing.assert_close(product(factors_of(tall)).T, product(factors_of(wide)), rtol=0, atol=1e-5)


@every_method
@pytest.mark.parametrize("unit", [7.3, 1e-20, 1e20])
def test_the_unit_of_the_weights_scales_the_loss_and_nothing_else(method: str, unit: float, make_problem: Make) -> None:
    problem = make_problem(7)
    once, scaled = solve(method, problem), solve(method, replace(problem, elements=problem.elements * unit))
    assert scaled.loss == pytest.approx(unit * once.loss, rel=1e-4)
    assert scaled.trace[0] == pytest.approx(unit * once.trace[0], rel=1e-5)
    difference = product(factors_of(scaled)) - product(factors_of(once))
    assert float(difference.norm()) < 1e-2 * float(problem.weight.norm())


@every_method
@every_start
def test_features_without_fisher_are_reconstructed_in_the_size_of_the_weight(
    method: str, start: str, make_problem: Make, loss_of: Loss
) -> None:
    problem = make_problem(8)
    elements = problem.elements.clone()
    elements[[3, 10]] = 0
    elements[:, [5, 40]] = 0
    problem = replace(problem, elements=elements)
    solution = solve(method, problem, start=start)
    assert complaints(problem, solution, start, loss_of) == []
    reached, weight = product(factors_of(solution)), problem.weight.double()
    for index in (3, 10):
        assert float((reached[index] - weight[index]).norm()) < 2 * float(weight[index].norm())
    for index in (5, 40):
        assert float((reached[:, index] - weight[:, index]).norm()) < 2 * float(weight[:, index].norm())


HARD: dict[str, Callable[[LayerProblem], LayerProblem]] = {
    "rank 1": lambda problem: replace(problem, rank=1),
    "rank one below the smaller side": lambda problem: replace(problem, rank=23),
    "tall": transposed,
    "one row": lambda problem: LayerProblem(problem.weight[:1], problem.elements[:1], 1, "layer"),
    "one column": lambda problem: LayerProblem(problem.weight[:, :1], problem.elements[:, :1], 1, "layer"),
    "one weight": lambda problem: LayerProblem(problem.weight[:1, :1], problem.elements[:1, :1], 1, "layer"),
    "float16": lambda problem: replace(problem, weight=problem.weight.half()),
    "bfloat16": lambda problem: replace(problem, weight=problem.weight.bfloat16()),
    "huge weights": lambda problem: replace(problem, weight=problem.weight * 1e30),
    "tiny weights": lambda problem: replace(problem, weight=problem.weight * 1e-30),
    "huge Fisher": lambda problem: replace(problem, elements=problem.elements * 1e30),
    "tiny Fisher": lambda problem: replace(problem, elements=problem.elements * 1e-30),
    "huge weights with huge Fisher": lambda problem: replace(
        problem, weight=problem.weight * 1e30, elements=problem.elements * 1e30
    ),
    "tiny weights with tiny Fisher": lambda problem: replace(
        problem, weight=problem.weight * 1e-30, elements=problem.elements * 1e-30
    ),
    "zero weights": lambda problem: replace(problem, weight=torch.zeros_like(problem.weight)),
    "a single counted element": lambda problem: replace(
        problem, elements=torch.zeros_like(problem.elements).index_fill(1, torch.tensor([7]), 0.5).tril(-16)
    ),
    "Fisher over twelve orders of magnitude": lambda problem: replace(
        problem, elements=10 ** (12 * torch.rand(24, 64, generator=torch.Generator().manual_seed(0)) - 12)
    ),
}


@every_method
@pytest.mark.parametrize("case", HARD)
def test_hard_problems_end_finite_and_not_above_their_start(
    method: str, case: str, make_problem: Make, loss_of: Loss
) -> None:
    problem = HARD[case](make_problem(9))
    for start in STARTS:
        assert complaints(problem, solve(method, problem, start=start, max_iterations=100), start, loss_of) == []


def random_hard_problem(seed: int) -> LayerProblem:
    choice, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    rows, columns = choice.choice([(3, 40), (40, 3), (24, 24), (16, 48), (48, 16), (33, 65), (2, 2), (1, 7), (7, 1)])
    smaller = min(rows, columns)
    rank = choice.choice([1, max(1, smaller - 1), smaller, max(1, smaller // 3)])

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    def uniform(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator)

    weight = choice.choice(
        [
            normal(rows, columns),
            normal(rows, 1) @ normal(1, columns),
            normal(rows, columns) * (3 * normal(rows, 1)).exp(),
            normal(rows, columns) * 1e30,
            normal(rows, columns) * 1e-30,
            normal(rows, columns).index_fill(0, torch.tensor([0]), 1e6),
        ]
    )
    elements = choice.choice([0, 1, 2, 5]) * normal(rows, columns)
    elements = elements + choice.choice([0, 2, 4]) * normal(rows, 1) + choice.choice([0, 2, 4]) * normal(1, columns)
    elements = elements.exp()
    elements = choice.choice(
        [
            elements,
            elements * (uniform(rows, 1) < 0.6),
            elements * (uniform(1, columns) < 0.6),
            elements * (uniform(rows, columns) < 0.1),
            10 ** (12 * uniform(rows, columns) - 12),
            elements * 1e-25,
            elements * 1e20,
        ]
    )
    if not bool(elements.any()):
        elements = elements.index_fill(0, torch.tensor([0]), 1.0)
    return LayerProblem(weight, elements, rank, f"layer {seed}")


@every_method
def test_random_hard_problems_end_finite_and_not_above_their_start(method: str, loss_of: Loss) -> None:
    found = {}
    for seed in range(60):
        problem, start = random_hard_problem(seed), list(STARTS)[seed % len(STARTS)]
        found[seed] = complaints(problem, solve(method, problem, start=start, max_iterations=60), start, loss_of)
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}


@every_method
def test_a_stack_of_wide_and_tall_layers_is_solved_as_each_alone(method: str, make_problem: Make) -> None:
    spreads = [1.0, 0.1, 1.25, 0.6]
    problems = [make_problem(seed, spread=spread) for seed, spread in enumerate(spreads)]
    problems = [transposed(problem) if place % 2 else problem for place, problem in enumerate(problems)]
    together = solve_all(method, problems)
    assert len({len(solution.trace) for solution in together}) > 1, "some must leave the stack before the others"
    for problem, solution in zip(problems, together, strict=True):
        alone = solve(method, problem)
        both = zip(solution.trace, alone.trace, strict=False)
        assert all(stacked == pytest.approx(single, rel=1e-2) for stacked, single in both)
        assert solution.loss == pytest.approx(alone.loss, rel=1e-3)
        assert factors_of(solution).up.shape == factors_of(alone).up.shape
        # In the norm that is minimised: what hardly has a weight is left open, and processors round it differently
        difference = product(factors_of(solution)) - product(factors_of(alone))
        lost, whole = (float((problem.elements * side.square()).sum()) for side in (difference, problem.weight))
        assert lost < 1e-4 * whole


@every_method
@pytest.mark.parametrize("kept", [[3, 1], [2]])
def test_what_a_method_keeps_belongs_to_the_problems_that_stay(
    method: str, kept: list[int], make_problem: Make
) -> None:
    solver = SOLVERS[method]
    assert isinstance(solver, Iterative)
    layers = [make_problem(seed, spread=spread) for seed, spread in enumerate([0.1, 1.5, 2.0, 1.0])]
    problem = scaled(layers)
    up, down = start_factors(problem, layers, "rank-one")
    current = iterate_at(problem, up[:, :, :6], down[:, :6])
    state = solver.method(problem, down, solver.options())
    index = torch.tensor(kept)
    for _ in range(25):
        some = copy.deepcopy(state)
        some.keep(index)
        part = some.propose(problem.kept(index), current.kept(index))
        candidate = state.propose(problem, current)
        move = torch.linalg.matrix_norm(candidate.residual - current.residual)[index]
        away = torch.linalg.matrix_norm(candidate.residual[index] - part.residual)
        assert bool((away <= 1e-2 * move).all())
        better = candidate.loss < current.loss
        state.learn(problem, current, candidate, better)
        current = current.where_better(candidate, better)


@pytest.mark.parametrize("method", ["em", "nesterov", "anderson"])
def test_a_rejected_step_is_followed_by_progress(method: str, make_problem: Make) -> None:
    trace = solve(method, make_problem(2, spread=2.0), max_iterations=200).trace
    rejected = [place for place in range(1, len(trace)) if trace[place] == trace[place - 1]]
    assert rejected, "the problem must be hard enough for a step to fail"
    assert all(trace[-1] < trace[place] for place in rejected if place < len(trace) - 10)


@every_method
def test_a_problem_that_is_solved_already_stays_solved(method: str, make_problem: Make, loss_of: Loss) -> None:
    problem = make_problem(1)
    solved = replace(problem, elements=torch.ones_like(problem.elements), weight=torch.eye(24, 64))
    solution = solve(method, solved, start="svd", max_iterations=50, tolerance=0.0)
    assert complaints(solved, solution, "svd", loss_of) == []
    assert solution.loss == pytest.approx(9.0, rel=1e-5)
