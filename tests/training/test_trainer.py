"""When the Trainer evaluates and stops, and what its log says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainingArguments

from fwsvd_export.training.history import TrainingStep
from fwsvd_export.training.state import TrainingState
from fwsvd_export.training.trainer import METRIC, Rhythm, arguments_of, steps_of

UNUSED = TrainingState(Path("nowhere"))


def log_of(*values: float) -> list[dict[str, Any]]:
    return [{"step": step, METRIC: value} for step, value in enumerate(values, 1)]


def test_the_log_becomes_steps_with_their_losses() -> None:
    log = [{"step": 4, "loss": 0.5}, {"step": 4, METRIC: 0.7}, {"step": 8, METRIC: 0.6}, {"step": 8, "loss": 0.4}]
    assert steps_of(0.1, log) == (TrainingStep(0, 0.1), TrainingStep(4, 0.7, 0.5), TrainingStep(8, 0.6, 0.4))


@pytest.mark.parametrize(
    ("values", "patience", "stopped"),
    [
        ((0.4, 0.3), 2, True),  # the start was the best
        ((0.6, 0.55), 2, False),
        ((0.6, 0.55, 0.6), 2, True),  # as good is not better
        ((0.6, 0.55, 0.61), 2, False),
        ((0.1, 0.1, 0.1), None, False),
    ],
)
def test_patience_counts_evaluations_since_the_best(
    values: tuple[float, ...], patience: int | None, stopped: bool
) -> None:
    assert Rhythm(0.5, 1, patience, UNUSED, lambda note="": None).has_stopped(log_of(*values)) is stopped


def test_it_evaluates_every_so_many_steps_and_at_the_last() -> None:
    rhythm, asked = Rhythm(0.5, 4, None, UNUSED, lambda note="": None), []
    for step in range(1, 11):
        control = SimpleNamespace(should_evaluate=None, should_save=None, should_log=None)
        rhythm.on_step_end(None, SimpleNamespace(global_step=step, max_steps=10), control)
        if control.should_evaluate and control.should_save and control.should_log:
            asked.append(step)
    assert asked == [4, 8, 10]


def test_a_process_takes_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = property(lambda arguments: 1 if arguments._n_gpu == 1 else 4)  # a machine with four GPUs
    monkeypatch.setattr(TrainingArguments, "n_gpu", seen)
    assert arguments_of(output_dir=str(tmp_path), use_cpu=True).n_gpu == 1
