"""Timing runners in turn, with a clock that the test moves."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from fwsvd_export.benchmark.latency import Batch, LatencyPlan, Runner, speedup, time_runners
from fwsvd_export.errors import DataError


class Clock:
    """Seconds that pass only when a runner says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opener(clock: Clock, seconds: Callable[[Batch, int], float], calls: list[Any]) -> Callable[[], Runner]:
    def open_runner() -> Runner:
        def run(batch: Batch) -> None:
            calls.append(tuple(batch["input_ids"].shape))
            clock.now += seconds(batch, len(calls))

        return run

    return open_runner


def test_median_and_p90_are_those_of_the_timed_calls_alone() -> None:
    clock, calls = Clock(), list[Any]()
    plan = LatencyPlan((2,), (5,), rounds=2, repeats=5, warm_up=1)
    # Calls 1 and 7 warm up and take long; the others take 1 to 10 ms
    milliseconds = [9000, 1, 2, 3, 4, 5, 9000, 6, 7, 8, 9, 10]
    runner = opener(clock, lambda batch, call: milliseconds[call - 1] / 1000, calls)
    (timing,) = time_runners({"one": runner}, plan, 20, clock=clock)["one"]
    assert calls == [(2, 5)] * 12
    assert (timing.batch_size, timing.length) == (2, 5)
    assert timing.median_ms == pytest.approx(5.5)
    assert timing.p90_ms == pytest.approx(9.1)


def test_runners_take_turns_and_every_shape_is_measured() -> None:
    clock, opened = Clock(), []

    def named(name: str) -> Callable[[], Runner]:
        def open_runner() -> Runner:
            opened.append(name)
            return opener(clock, lambda batch, call: batch["input_ids"].numel() * (1 if name == "slow" else 0.5), [])()

        return open_runner

    plan = LatencyPlan((1, 3), (4, 8), rounds=3, repeats=2)
    found = time_runners({"slow": named("slow"), "fast": named("fast")}, plan, 20, clock=clock)
    assert opened == ["slow", "fast", "fast", "slow", "slow", "fast"], "there and back"
    assert [(timing.batch_size, timing.length) for timing in found["slow"]] == [(1, 4), (1, 8), (3, 4), (3, 8)]
    for slow, fast in zip(found["slow"], found["fast"], strict=True):
        assert slow.median_ms == pytest.approx(1000 * slow.batch_size * slow.length)
        assert fast.median_ms == pytest.approx(slow.median_ms / 2)


def test_a_slow_minute_does_not_move_the_speedup() -> None:
    clock, rounds = Clock(), {"dense": 0, "small": 0}

    def named(name: str, seconds: float) -> Callable[[], Runner]:
        def open_runner() -> Runner:
            rounds[name] += 1
            slowed = seconds * (10 if rounds[name] in (1, 2) else 1)
            return opener(clock, lambda batch, call: slowed, [])()

        return open_runner

    found = time_runners(
        {"dense": named("dense", 3), "small": named("small", 1)}, LatencyPlan((1,), (4,), rounds=3), 20, clock=clock
    )
    (dense,), (small,) = found["dense"], found["small"]
    assert small.round_medians_ms == pytest.approx((10_000, 10_000, 1_000))
    assert speedup(dense, small) == pytest.approx(3)
    assert speedup(dense, dense) == 1


def test_a_runner_is_gone_before_the_next_is_opened() -> None:
    class Session:
        def __call__(self, batch: Batch) -> None:
            pass

    alive: list[weakref.ref[Session]] = []

    def open_session() -> Runner:
        gc.collect()
        assert all(session() is None for session in alive)
        session = Session()
        alive.append(weakref.ref(session))
        return session

    time_runners({"a": open_session, "b": open_session}, LatencyPlan((1,), (2,), rounds=2), 20)
    assert len(alive) == 4


def test_threads_are_pinned_while_it_runs_and_given_back() -> None:
    before, seen = torch.get_num_threads(), []

    def run(batch: Batch) -> None:
        seen.append(torch.get_num_threads())

    time_runners({"a": lambda: run}, LatencyPlan((1,), (2,), threads=1, rounds=1), 20)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch_sizes": ()}, "batch_sizes nothing: whole numbers"),
        ({"lengths": (32, 0)}, "lengths 32,0: whole numbers of at least 1"),
        ({"threads": 0}, "threads 0: a whole number"),
        ({"rounds": 0}, "rounds 0: a whole number"),
        ({"repeats": -1}, "repeats -1: a whole number"),
    ],
)
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        LatencyPlan(**wrong)


@pytest.mark.parametrize("fails", [False, True])
def test_the_garbage_collector_leaves_older_objects_out_while_it_runs_only(fails: bool) -> None:
    frozen = []

    def open_runner() -> Runner:
        frozen.append(gc.get_freeze_count())
        if fails:
            raise RuntimeError
        return lambda batch: None

    with pytest.raises(RuntimeError) if fails else nullcontext():
        time_runners({"one": open_runner}, LatencyPlan((1,), (2,), rounds=1), 20)
    assert frozen[0] > 1000
    assert gc.get_freeze_count() == 0
