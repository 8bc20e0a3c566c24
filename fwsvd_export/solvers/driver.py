"""The one iteration driver: proposes, accepts only what is better, stops, and says what happened."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fwsvd_export.linalg.decomposition import decompose, truncate
from fwsvd_export.records import Factors, Solution
from fwsvd_export.solvers.method import MakeMethod, advance
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import LayerProblem, iterate_at, scaled, unscaled
from fwsvd_export.solvers.starts import start_factors
from fwsvd_export.wording import counted

EXACT_FIT = 1e-12  # share of the weighted energy; float32 residuals resolve no less


def minimise(layers: Sequence[LayerProblem], make: MakeMethod, options: IterationOptions) -> list[Solution]:
    """Solves layers of one shape (up to transposition) and rank together.

    The loss never rises: a candidate that is not better is dropped, and the method hears of it. A problem leaves the
    stack when the second half of its iterations lowered its loss by less than ``options.tolerance`` of it.

    Raises:
        WeightError: weights or element weights that are not finite, or negative element weights.
    """
    solutions: list[Solution | None] = [_unused(layer) for layer in layers]
    positions = [position for position, solution in enumerate(solutions) if solution is None]
    if positions:
        used = [layers[position] for position in positions]
        for position, solution in zip(positions, _iterate(used, make, options), strict=True):
            solutions[position] = solution
    return [solution for solution in solutions if solution is not None]


def _unused(layer: LayerProblem) -> Solution | None:
    """Plain SVD for a layer whose element weights are all zero, None for any other."""
    if bool(layer.elements.any()):
        return None
    plain = decompose(layer.weight, None, None, layer.layer)
    note = "the task never uses this layer (its statistics are zero): truncated by plain SVD"
    return Solution(truncate(plain, layer.rank, layer.layer), 0.0, note, settled=False)


def _iterate(layers: Sequence[LayerProblem], make: MakeMethod, options: IterationOptions) -> list[Solution]:
    problem = scaled(layers)
    up, down = start_factors(problem, layers, options.start)
    current = iterate_at(problem, up[:, :, : problem.rank], down[:, : problem.rank])
    method = make(problem, down, options)
    traces: list[list[float]] = [[loss] for loss in current.loss.tolist()]
    solutions: dict[int, Solution] = {}
    active = list(range(len(layers)))
    for iteration in range(1, options.max_iterations + 1):
        current = advance(method, problem, current)
        going = []
        for place, (index, loss) in enumerate(zip(active, current.loss.tolist(), strict=True)):
            traces[index].append(loss)
            if not _finished(traces[index], options) and iteration < options.max_iterations:
                going.append(place)
                continue
            factors = unscaled(problem, current, place, layers[index])
            solutions[index] = _solution(factors, traces[index], float(problem.energy[place]), options)
        if not going:
            break
        if len(going) < len(active):
            kept = torch.tensor(going, device=problem.target.device)
            active = [active[place] for place in going]
            problem, current = problem.kept(kept), current.kept(kept)
            method.keep(kept)
    return [solutions[index] for index in range(len(layers))]


def _finished(trace: list[float], options: IterationOptions) -> bool:
    """Whether nothing is left to gain: a tail that falls like 1 / k has about as much before it as in its last half."""
    iterations = len(trace) - 1
    if trace[-1] <= EXACT_FIT:
        return True
    return iterations >= options.fewest and trace[iterations // 2] - trace[-1] <= options.tolerance * trace[-1]


def _solution(factors: Factors, trace: list[float], energy: float, options: IterationOptions) -> Solution:
    iterations, gained = len(trace) - 1, 1 - trace[-1] / trace[0] if trace[0] else 0.0
    settled = _finished(trace, options)
    status = f"converged after {counted(iterations, 'iteration')}, {gained:.1%} below the start"
    if not settled:
        status = (
            f"stopped after {counted(iterations, 'iteration')}, {gained:.1%} below the start, before the loss had "
            f"settled: raise max_iterations above {options.max_iterations}"
        )
    return Solution(factors, trace[-1] * energy, status, settled, tuple(loss * energy for loss in trace))
