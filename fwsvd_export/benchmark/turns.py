"""Runners take turns, one alive at a time.

A machine's speed drifts, so every round visits every runner, there and back in turns. A runner is opened for its turn
and dropped after it: the waiting threads of a second onnxruntime session would slow the first down two to three times.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.runtime.progress import Steps, silent

Batch = Mapping[str, Tensor]
Runner = Callable[[Batch], Any]
Openers = Mapping[str, Callable[[], Runner]]
"""Name -> a function that loads the runner."""


def take_turns(
    openers: Openers,
    turn: Callable[[str, Runner], None],
    rounds: int,
    threads: int,
    *,
    what: str = "measuring",
    steps: Steps = silent,
) -> None:
    """Opens every runner in every round, and hands it over for its turn.

    Args:
        openers: of the runners.
        turn: called with a name and its runner.
        rounds: turns of every runner.
        threads: for one operator of torch; a runner of another library has its own.
        what: what progress calls it.
        steps: progress.
    """
    order = list(openers.items())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    gc.collect()
    gc.freeze()  # what is collected between turns is then what the turns made: over everything it takes about a second
    try:
        with steps(what, rounds * len(openers)) as advance, torch.inference_mode():
            for _ in range(rounds):
                for name, opener in order:
                    runner = opener()
                    turn(name, runner)
                    del runner
                    gc.collect()  # or its session may live on beside the next one's
                    advance(name)
                order.reverse()
    finally:
        gc.unfreeze()
        torch.set_num_threads(before)
