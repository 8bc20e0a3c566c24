"""Every layer of a model solved under a rank plan: which layers go together, on how many threads, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.norms import build_norm
from fwsvd_export.compression.solution import DENSE, truncated
from fwsvd_export.records import Decomposition, ElementWeights, LayerSpec, RankPlan, Solution, Statistics
from fwsvd_export.runtime.device import profile_of
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.options import IterationOptions, SolverOptions
from fwsvd_export.solvers.problem import LayerProblem
from fwsvd_export.solvers.solver import ClosedForm, Iterative

Stack = list[LayerSpec]
Result = TypeVar("Result")


def decompose_layers(
    encoder: Encoder,
    solver: ClosedForm,
    statistics: Statistics | None,
    *,
    options: SolverOptions | None = None,
    steps: Steps = silent,
) -> dict[str, Decomposition]:
    """Every layer's closed form at every rank, layer name -> decomposition; for plans that need the losses first.

    Args:
        encoder: of the dense model.
        solver: a closed form.
        statistics: what the solver's norm is built from.
        options: of the solver; None for its defaults.
        steps: progress.
    """
    decompose = _decomposer(encoder, solver, statistics, options or solver.options())

    def note(done: Mapping[str, Decomposition]) -> str:
        return ""

    return _in_turn(
        [[layer] for layer in encoder.layers], lambda stack: [decompose(stack[0])], encoder.device, steps, note
    )


def solve_layers(
    encoder: Encoder,
    solver: ClosedForm | Iterative,
    statistics: Statistics | None,
    plan: RankPlan,
    *,
    options: SolverOptions | None = None,
    steps: Steps = silent,
) -> dict[str, Solution]:
    """Every layer's solution under the plan, layer name -> solution; nothing is kept for other plans.

    Args:
        encoder: of the dense model.
        solver: a row of the table.
        statistics: what the solver's norm is built from.
        plan: the ranks.
        options: of the solver; None for its defaults.
        steps: progress, with the sum of the losses so far.
    """
    chosen = options or solver.options()

    def problem(layer: LayerSpec, rank: int) -> LayerProblem:
        norm = build_norm(solver, statistics, layer.name, chosen, encoder.device)
        assert isinstance(norm, ElementWeights), "the norm of every iterative method"
        return LayerProblem(encoder.module(layer.name).weight.detach(), norm.weights, rank, layer.name)

    def solve(stack: Stack) -> list[Solution]:
        rank = plan.ranks[stack[0].name]
        if rank is None:
            return [DENSE for _ in stack]
        if isinstance(solver, Iterative):
            assert isinstance(chosen, IterationOptions), "the options of every iterative method"
            return minimise([problem(layer, rank) for layer in stack], solver.method, chosen)
        decompose = _decomposer(encoder, solver, statistics, chosen)
        return [truncated(decompose(layer), rank, layer.name) for layer in stack]

    limit = profile_of(encoder.device).stack_weights if isinstance(solver, Iterative) else 1

    def so_far(done: Mapping[str, Solution]) -> str:
        return f"loss so far {sum(solution.loss for solution in done.values()):.3g}"

    return _in_turn(stacks_of(encoder.layers, plan, limit), solve, encoder.device, steps, so_far)


def stacks_of(layers: Sequence[LayerSpec], plan: RankPlan, limit: int) -> list[Stack]:
    """Layers of equal shape (up to transposition) and rank, together while they have at most ``limit`` weights."""
    groups: dict[tuple[int, int, int | None], list[Stack]] = {}
    for layer in layers:
        key = (layer.smaller_side, layer.weights, plan.ranks[layer.name])
        stacks = groups.setdefault(key, [[]])
        if stacks[-1] and (len(stacks[-1]) + 1) * layer.weights > limit:
            stacks.append([])
        stacks[-1].append(layer)
    return [stack for stacks in groups.values() for stack in stacks]


def _decomposer(
    encoder: Encoder, solver: ClosedForm, statistics: Statistics | None, options: SolverOptions
) -> Callable[[LayerSpec], Decomposition]:
    def decompose(layer: LayerSpec) -> Decomposition:
        norm = build_norm(solver, statistics, layer.name, options, encoder.device)
        return solver.decompose(encoder.module(layer.name).weight.detach(), norm, layer.name)

    return decompose


def _in_turn(
    stacks: list[Stack],
    work: Callable[[Stack], list[Result]],
    device: torch.device,
    steps: Steps,
    note: Callable[[Mapping[str, Result]], str],
) -> dict[str, Result]:
    """The results of all stacks, layer name -> result.

    On the CPU two stacks are worked on side by side, each on half of the threads: LAPACK's eigensolvers and small
    products hardly use more.
    """
    workers = profile_of(device).stacks_at_once
    available = torch.get_num_threads()
    threads = max(1, available // workers)
    results: dict[str, Result] = {}
    try:
        with (
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool,
            steps("solving layers", sum(len(stack) for stack in stacks)) as advance,
        ):
            for stack, done in zip(stacks, pool.map(work, stacks), strict=True):
                for layer, result in zip(stack, done, strict=True):
                    results[layer.name] = result
                    advance(note(results))
    finally:
        torch.set_num_threads(available)  # what the workers set, threads started later would begin with
    return results
