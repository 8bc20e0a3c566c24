"""Weighted loss against seconds: the iterative solvers next to the same methods as published (30 iterations, full SVD).

    python scripts/bench_solvers.py [--model MODEL --statistics FISHER.safetensors] [-o docs/results]

Problems: a 768 × 3072 matrix whose element weights are products of log-normal row, column and element effects, and,
where a fine-tuned BERT and its statistics with `element` are given, the linear layers of one of its encoder layers.
Each problem's methods take turns (ours, the published one, ours again; the slower of our two runs counts). Writes
iterations.png and iterations.json with -o, and prints one JSON object last. bench_closed_forms.py measures the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from published_iterations import PUBLISHED, clocked
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import Budget
from fwsvd_export.report.figures import Panel, draw_loss_against_seconds
from fwsvd_export.solvers import als
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.method import Method, advance
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.problem import Iterate, LayerProblem, Scaled
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.starts import STARTS
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.json_files import write_json

Points = list[tuple[float, float]]
PUBLISHED_SUFFIX = ", published"
SHOWN = 3  # panels in the picture


@dataclass
class Clocked:
    """A method that notes (seconds since ``begin``, best loss so far) whenever it is asked for the next candidate."""

    method: Method
    begin: float
    points: Points

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """As the method, after a note."""
        self.points.append((time.perf_counter() - self.begin, float(current.loss)))
        return self.method.propose(problem, current)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """As the method."""
        self.method.learn(problem, current, candidate, better)

    def keep(self, index: Tensor) -> None:
        """As the method."""
        self.method.keep(index)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--statistics", type=Path)
    parser.add_argument("--layer", default="encoder.layer.3.", help="Names of the layers start so.")
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--shape", default="768,3072", help="Of the heavy-tailed problem.")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows, columns = map(int, arguments.shape.split(","))
    problems = []
    if arguments.model:
        problems = real_problems(arguments.model, arguments.statistics, arguments.layer, arguments.ratio)
    problems.append(heavy_tailed(rows, columns, arguments.ratio))
    for name in PUBLISHED:  # the first calls of a process also load libraries
        ours(name, heavy_tailed(64, 256, arguments.ratio))
        clocked(name, torch.randn(64, 256), torch.rand(64, 256), 4)
    results = []
    panels = []
    for problem in problems:
        result, curves = run_problem(problem)
        print(json.dumps(result), file=sys.stderr, flush=True)
        results.append(result)
        panels.append(Panel(problem.layer.removeprefix("encoder."), "weighted loss (share of energy)", curves))
    summary = {
        "threads": torch.get_num_threads(),
        "ratio": arguments.ratio,
        "smallest_speedup": {name: min(row["speedup"][name] for row in results) for name in PUBLISHED},
        "speedup_of_all_together": {name: together(results, name) for name in PUBLISHED},
        "largest_excess_over_best": {
            name: round(max(row["loss"][name] / min(row["loss"].values()) for row in results) - 1, 5)
            for name in PUBLISHED
        },
        "largest_share_of_row_weighted": round(
            max(row["loss"][name] / row["row_weighted"] for row in results for name in PUBLISHED), 4
        ),
        "problems": results,
    }
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_json(arguments.output / "iterations.json", summary)
        shown = panels if len(panels) <= SHOWN else [panels[0], panels[-2], panels[-1]]
        draw_loss_against_seconds(shown, PUBLISHED_SUFFIX, arguments.output / "iterations.png")
    print(json.dumps(summary))


def together(results: list[dict[str, Any]], name: str) -> float:
    """The published seconds of all problems over ours until its losses."""
    seconds = [row["seconds"][name] for row in results]
    return round(sum(row["published"] for row in seconds) / sum(row["until_its_loss"] for row in seconds), 1)


def real_problems(model: str, statistics: Path, prefix: str, ratio: float) -> list[LayerProblem]:
    """The layers of a model whose names start so, with the ranks of a uniform budget."""
    dense = load_checkpoint(model).model
    sums = load_statistics(statistics)
    plan = plan_uniform(encoder_of(dense).layers, Budget(ratio=ratio), 0)
    weights = dict(encoder_of(dense).base.named_modules())
    problems = []
    for layer in encoder_of(dense).layers:
        elements, rank = sums.layers[layer.name].element, plan.ranks[layer.name]
        if layer.name.startswith(prefix) and elements is not None and rank is not None:
            problems.append(LayerProblem(weights[layer.name].weight.detach(), elements, rank, layer.name))
    return problems


def heavy_tailed(rows: int, columns: int, ratio: float) -> LayerProblem:
    """A weight of decaying spectrum; element weights are products of log-normal effects, σ = 1 each."""
    draw = torch.Generator().manual_seed(0)
    elements = sum(torch.randn(*shape, generator=draw) for shape in ((rows, 1), (1, columns), (rows, columns)))
    side = min(rows, columns)
    left = torch.randn(rows, side, generator=draw) * torch.logspace(0, -1.5, side)
    weight = left @ torch.randn(side, columns, generator=draw) / side**0.5
    rank = int(ratio * rows * columns / (rows + columns))
    return LayerProblem(weight, elements.exp(), rank, f"{rows} × {columns}, heavy-tailed")


def run_problem(problem: LayerProblem) -> tuple[dict[str, Any], dict[str, Points]]:
    """All methods in turn on one problem: its row of the results, and its curves."""
    curves: dict[str, Points] = {}
    speedups, losses, seconds = {}, {}, {}
    for name in PUBLISHED:
        first = ours(name, problem)
        published = clocked(name, problem.weight.float(), problem.elements, problem.rank)
        second = ours(name, problem)
        goal = min(loss for _, loss in published)
        reached = max(time_to(points, goal) for points in (first, second))
        speedups[name] = round(published[-1][0] / reached, 1)
        losses[name] = round(second[-1][1], 6)
        seconds[name] = {"published": round(published[-1][0], 2), "until_its_loss": round(reached, 3)}
        seconds[name]["converged"] = round(max(first[-1][0], second[-1][0]), 2)
        curves[name], curves[f"{name}{PUBLISHED_SUFFIX}"] = second, published
    row = truncate(STARTS["row"](problem.weight, problem.elements, problem.layer), problem.rank, problem.layer)
    rest = problem.weight - row.up @ row.down
    energy = (problem.elements * problem.weight.square()).sum()
    return {
        "problem": problem.layer,
        "rank": problem.rank,
        "speedup": speedups,
        "loss": losses,
        "published_loss": {name: round(curves[f"{name}{PUBLISHED_SUFFIX}"][-1][1], 6) for name in PUBLISHED},
        "row_weighted": round(float((problem.elements * rest.square()).sum() / energy), 6),
        "seconds": seconds,
    }, curves


def ours(name: str, problem: LayerProblem) -> Points:
    """Our method until it converges; time counts from before the start is computed."""
    solver = SOLVERS[name]
    assert isinstance(solver, Iterative), "only those are in the table of published methods"
    make = solver.method
    points: Points = []
    begin = time.perf_counter()

    def noted(method: Method, problem: Scaled, current: Iterate) -> Iterate:
        after = advance(method, problem, current)
        points.append((time.perf_counter() - begin, float(after.loss)))
        return after

    def clocked_method(scaled: Scaled, directions: Tensor, options: IterationOptions) -> Clocked:
        return Clocked(make(scaled, directions, options), begin, points)

    with patch.object(als, "advance", noted):  # the steps of its warm-up count too
        (solution,) = minimise([problem], clocked_method, solver.options())
    energy = solution.trace[0] / points[0][1]
    points.append((time.perf_counter() - begin, solution.loss / energy))
    return points


def time_to(points: Points, goal: float) -> float:
    """Seconds until the loss is at most the goal; infinite when it never is."""
    return next((seconds for seconds, loss in points if loss <= goal), float("inf"))


if __name__ == "__main__":
    main()
