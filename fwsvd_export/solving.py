"""Every layer of a model solved under a rank plan: which layers go together, on how many threads, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from fwsvd_export.families import base_of
from fwsvd_export.metrics import build_metric
from fwsvd_export.numerics import truncate
from fwsvd_export.progress import Steps, silent
from fwsvd_export.records import ElementWeights, LayerSpec, RankPlan, Solution, Statistics
from fwsvd_export.solvers import ClosedForm, Iterative
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import LayerProblem

AT_ONCE_ON_CPU = 2  # stacks; more would not be faster on common machines, and each holds copies of its matrices
# Weights in one stack of equal layers. A processor is fastest with one layer in its caches (half the time of stacks of
# seven); a GPU is filled by many. anderson, the largest, takes about 120 bytes per weight.
STACK_WEIGHTS = {"cpu": 1, "cuda": 2**26}

Stack = list[LayerSpec]


def solve_layers(
    model: Any,
    layers: list[LayerSpec],
    solver: ClosedForm | Iterative,
    statistics: Statistics | None,
    plan: RankPlan,
    *,
    axis: str = "input",
    options: IterationOptions | None = None,
    steps: Steps = silent,
) -> dict[str, Solution]:
    """Every layer's solution under the plan, layer name -> solution.

    On the CPU two stacks are solved side by side, each on half of the threads: LAPACK's eigensolvers and small products
    hardly use more.

    Args:
        model: the dense model.
        layers: of the model.
        solver: a row of the table.
        statistics: what the solver's metric is built from.
        plan: the ranks.
        axis: orientation of row weights.
        options: of an iterative solver; None for its defaults.
        steps: progress, with the sum of the losses so far.
    """
    modules = dict(base_of(model).named_modules())
    device = next(model.parameters()).device
    chosen = options or (solver.options() if isinstance(solver, Iterative) else None)

    def closed(layer: LayerSpec, rank: int, solver: ClosedForm) -> Solution:
        metric = build_metric(solver, statistics, layer.name, axis, device)
        decomposition = solver.decompose(modules[layer.name].weight.detach(), metric, layer.name)
        factors = truncate(decomposition, rank, layer.name)
        loss = float(decomposition.losses[rank])
        return Solution(factors, loss, decomposition.note or "exact", settled=not decomposition.note)

    def problem(layer: LayerSpec, rank: int) -> LayerProblem:
        metric = build_metric(solver, statistics, layer.name, axis, device)
        assert isinstance(metric, ElementWeights), "the metric of every iterative method"
        return LayerProblem(modules[layer.name].weight.detach(), metric.weights, rank, layer.name)

    def solve(stack: Stack) -> list[Solution]:
        rank = plan.ranks[stack[0].name]
        if rank is None:
            return [Solution(None, 0.0, "dense") for _ in stack]
        if isinstance(solver, ClosedForm):
            return [closed(layer, rank, solver) for layer in stack]
        assert chosen is not None, "an iterative method has options"
        return minimise([problem(layer, rank) for layer in stack], solver.method, chosen)

    limit = STACK_WEIGHTS[device.type] if isinstance(solver, Iterative) else 1
    return _in_turn(stacks_of(layers, plan, limit), solve, device, steps)


def stacks_of(layers: list[LayerSpec], plan: RankPlan, limit: int) -> list[Stack]:
    """Layers of equal shape (up to transposition) and rank, together while they have at most ``limit`` weights."""
    groups: dict[tuple[int, int, int | None], list[Stack]] = {}
    for layer in layers:
        key = (layer.smaller_side, layer.weights, plan.ranks[layer.name])
        stacks = groups.setdefault(key, [[]])
        if stacks[-1] and (len(stacks[-1]) + 1) * layer.weights > limit:
            stacks.append([])
        stacks[-1].append(layer)
    return [stack for stacks in groups.values() for stack in stacks]


def _in_turn(
    stacks: list[Stack], solve: Callable[[Stack], list[Solution]], device: torch.device, steps: Steps
) -> dict[str, Solution]:
    workers = AT_ONCE_ON_CPU if device.type == "cpu" else 1
    available = torch.get_num_threads()
    threads = max(1, available // workers)
    solutions: dict[str, Solution] = {}
    try:
        with (
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool,
            steps("solving layers", sum(len(stack) for stack in stacks)) as advance,
        ):
            for stack, solved in zip(stacks, pool.map(solve, stacks), strict=True):
                for layer, solution in zip(stack, solved, strict=True):
                    solutions[layer.name] = solution
                    advance(f"loss so far {sum(done.loss for done in solutions.values()):.3g}")
    finally:
        torch.set_num_threads(available)  # what the workers set, threads started later would begin with
    return solutions
