"""Runners take turns, and leave the process as they found it."""

from __future__ import annotations

import torch

from fwsvd_export.benchmark.turns import Runner, take_turns


def test_every_round_visits_every_runner_there_and_back_with_the_threads_asked_for() -> None:
    before = torch.get_num_threads()
    seen: list[tuple[str, int, object]] = []

    def turn(name: str, runner: Runner) -> None:
        seen.append((name, torch.get_num_threads(), runner({})))

    take_turns({"a": lambda: lambda batch: 1, "b": lambda: lambda batch: 2}, turn, rounds=2, threads=1)
    assert seen == [("a", 1, 1), ("b", 1, 2), ("b", 1, 2), ("a", 1, 1)]
    assert torch.get_num_threads() == before
