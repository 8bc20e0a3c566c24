"""Throughput of several runners side by side: how many sequences a second go through a whole pass over a text."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy

from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.benchmark.turns import Batch, Openers, Runner, take_turns
from fwsvd_export.runtime.progress import Steps, silent


@dataclass(frozen=True)
class Throughput:
    """Sequences per second.

    Attributes:
        sequences: of one pass.
        median: over all rounds.
        rounds: of every round.
    """

    sequences: int
    median: float
    rounds: tuple[float, ...]


def gain(ours: Throughput, theirs: Throughput) -> float:
    """How many times the sequences of another runner one takes in a second: the median of the rounds' own ratios."""
    return float(numpy.median([one / other for one, other in zip(ours.rounds, theirs.rounds, strict=True)]))


def time_passes(
    openers: Openers,
    batches: Mapping[str, Sequence[Batch]],
    rounds: int,
    threads: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    steps: Steps = silent,
) -> dict[str, Throughput]:
    """Times every runner on a whole text, once in every round.

    Args:
        openers: of the runners.
        batches: name -> the text as the runner's model reads it, of similar length each; tokenising is not timed.
        rounds: turns of every runner.
        threads: for one operator.
        clock: seconds.
        steps: progress.
    """
    seconds: dict[str, list[float]] = {name: [] for name in openers}
    sequences = {name: sum(len(batch[IDS]) for batch in read) for name, read in batches.items()}

    def turn(name: str, runner: Runner) -> None:
        runner(max(batches[name], key=lambda batch: batch[IDS].numel()))  # warms up
        start = clock()
        for batch in batches[name]:
            runner(batch)
        seconds[name].append(clock() - start)

    take_turns(openers, turn, rounds, threads, what="measuring throughput", steps=steps)
    found = {name: tuple(sequences[name] / each for each in its) for name, its in seconds.items()}
    return {name: Throughput(sequences[name], float(numpy.median(each)), each) for name, each in found.items()}
