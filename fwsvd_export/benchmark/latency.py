"""Latency of several runners side by side: interleaved in rounds, one alive at a time; medians and 90th percentiles.

Medians pool the rounds' times; a speed-up is the median of the rounds' own ratios, in which a slow minute slows both
sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.benchmark.turns import Batch, Openers, Runner, take_turns
from fwsvd_export.errors import DataError, given, is_whole
from fwsvd_export.runtime.progress import Steps, silent


@dataclass(frozen=True)
class LatencyPlan:
    """What is timed, and how often.

    Attributes:
        batch_sizes: examples at once.
        lengths: tokens of each example, all unpadded.
        threads: for one operator.
        rounds: turns of every runner.
        repeats: timed calls per shape and turn.
        warm_up: calls before them that are not counted.
    """

    batch_sizes: tuple[int, ...] = (1, 8)
    lengths: tuple[int, ...] = (32, 128)
    threads: int = 1
    rounds: int = 5
    repeats: int = 10
    warm_up: int = 3

    def __post_init__(self) -> None:
        for name in ("batch_sizes", "lengths"):
            values = getattr(self, name)
            if not values or not all(is_whole(value) and value >= 1 for value in values):
                came = ",".join(map(given, values)) or "nothing"
                raise DataError(f"{name} {came}: whole numbers of at least 1, separated by commas, are allowed")
        for name in ("threads", "rounds", "repeats"):
            value = getattr(self, name)
            if not is_whole(value) or value < 1:
                raise DataError(f"{name} {given(value)}: a whole number of at least 1 is allowed")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (batch size, length)."""
        return [(size, length) for size in self.batch_sizes for length in self.lengths]


@dataclass(frozen=True)
class Timing:
    """Wall milliseconds of one call at one shape: over all rounds, and the median of each round."""

    batch_size: int
    length: int
    median_ms: float
    p90_ms: float
    round_medians_ms: tuple[float, ...]


def speedup(slower: Timing, faster: Timing) -> float:
    """How many times faster one runner is than another: the median over rounds of the ratio within a round."""
    ratios = [ours / theirs for ours, theirs in zip(slower.round_medians_ms, faster.round_medians_ms, strict=True)]
    return float(numpy.median(ratios))


def time_runners(
    openers: Openers,
    plan: LatencyPlan,
    vocabulary: int,
    names: Sequence[str] = (IDS, MASK),
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    steps: Steps = silent,
) -> dict[str, tuple[Timing, ...]]:
    """Times every runner at every shape.

    Args:
        openers: of the runners.
        plan: what and how often.
        vocabulary: token ids of the made-up inputs are below it.
        names: of the inputs; those beside token ids and mask are zeros.
        seed: of the inputs.
        clock: seconds.
        steps: progress.
    """
    batches = {shape: _batch(*shape, vocabulary, names, seed) for shape in plan.shapes}
    turns: dict[tuple[str, tuple[int, int]], list[list[float]]] = {
        (name, shape): [] for name in openers for shape in batches
    }

    def turn(name: str, runner: Runner) -> None:
        for shape, batch in batches.items():
            turns[name, shape].append(_turn(runner, batch, plan, clock))

    take_turns(openers, turn, plan.rounds, plan.threads, what="measuring latency", steps=steps)
    return {name: tuple(_timing(shape, turns[name, shape]) for shape in batches) for name in openers}


def _turn(runner: Runner, batch: Batch, plan: LatencyPlan, clock: Callable[[], float]) -> list[float]:
    for _ in range(plan.warm_up):
        runner(batch)
    found = []
    for _ in range(plan.repeats):
        start = clock()
        runner(batch)
        found.append(clock() - start)
    return found


def _timing(shape: tuple[int, int], turns: Sequence[Sequence[float]]) -> Timing:
    milliseconds = 1000 * numpy.asarray(turns)  # (rounds, repeats)
    by_round = tuple(float(median) for median in numpy.median(milliseconds, axis=1))
    return Timing(*shape, float(numpy.median(milliseconds)), float(numpy.percentile(milliseconds, 90)), by_round)


def _batch(size: int, length: int, vocabulary: int, names: Sequence[str], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocabulary, (size, length), generator=generator)
    known = {IDS: ids, MASK: torch.ones_like(ids)}
    return {name: known.get(name, torch.zeros_like(ids)) for name in names}
