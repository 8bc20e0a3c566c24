"""Passes over a text, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fwsvd_export.benchmark.throughput import gain, time_passes
from fwsvd_export.benchmark.turns import Batch, Runner
from tests.benchmark.test_latency import Clock

BATCHES = [{"input_ids": torch.zeros(size, 4)} for size in (8, 8, 2)]


def test_sequences_are_those_of_a_pass_and_the_largest_batch_warms_up() -> None:
    clock, calls = Clock(), list[int]()

    def opened(slowness: Callable[[], float]) -> Callable[[], Runner]:
        def run(batch: Batch) -> None:
            calls.append(len(batch["input_ids"]))
            clock.now += slowness() * len(batch["input_ids"])

        return lambda: run

    openers = {"dense": opened(lambda: 0.2), "small": opened(lambda: 0.1)}
    found = time_passes(openers, dict.fromkeys(openers, BATCHES), rounds=3, threads=1, clock=clock)
    assert calls == [8, 8, 8, 2] * 6
    assert (found["dense"].sequences, found["dense"].median) == (18, pytest.approx(5))
    assert found["small"].rounds == pytest.approx((10, 10, 10))
    assert gain(found["small"], found["dense"]) == pytest.approx(2)
