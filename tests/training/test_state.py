"""The state folder of a run: continued by the same run alone, broken checkpoints removed, gone at the end."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from fwsvd_export.errors import OutputError, TrainingError
from fwsvd_export.training.state import COMPLETE, MADE_FROM, trainer_log, training_state

RUN = {"model": "a", "seed": 0}


def test_it_is_gone_when_the_run_ends_and_stays_when_it_fails(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with training_state(folder, RUN):
        assert json.loads((folder / MADE_FROM).read_text()) == RUN
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), training_state(folder, RUN):
        raise ZeroDivisionError
    assert folder.exists()
    with training_state(folder, RUN) as state:
        assert state.newest is None


def test_the_newest_whole_checkpoint_is_found_and_broken_ones_are_removed(tmp_path: Path) -> None:
    with training_state(tmp_path / "state", RUN) as state:
        for step in (8, 16, 100, 120):
            (state.folder / f"checkpoint-{step}").mkdir()
        for step in (8, 100):
            (state.folder / f"checkpoint-{step}" / COMPLETE).touch()
        assert state.newest == state.folder / "checkpoint-100"
        assert sorted(path.name for path in state.folder.glob("checkpoint-*")) == ["checkpoint-100", "checkpoint-8"]
        assert (state.folder / "checkpoint-8" / COMPLETE).is_file()


def test_only_the_newest_and_the_best_checkpoint_are_kept(tmp_path: Path) -> None:
    with training_state(tmp_path / "state", RUN) as state:
        for step in (8, 16, 24, 32):
            (state.folder / f"checkpoint-{step}").mkdir()
            state.keep(step, best=16 if step > 16 else step)
        assert sorted(path.name for path in state.folder.glob("checkpoint-*")) == ["checkpoint-16", "checkpoint-32"]
        assert state.newest == state.folder / "checkpoint-32"
        state.keep(32, best=0)  # the start
        assert [path.name for path in state.folder.glob("checkpoint-*")] == ["checkpoint-32"]


def test_a_kill_while_an_old_checkpoint_is_removed_leaves_none_that_counts_as_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        (folder / "optimizer.pt").unlink()
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), training_state(tmp_path / "state", RUN) as state:
        for step in (8, 16):
            (state.folder / f"checkpoint-{step}").mkdir()
            (state.folder / f"checkpoint-{step}" / "optimizer.pt").touch()
            if step == 8:
                state.keep(8, best=8)
        monkeypatch.setattr(shutil, "rmtree", killed)
        state.keep(16, best=16)
    monkeypatch.undo()
    with training_state(tmp_path / "state", RUN) as state:
        assert state.newest == state.folder / "checkpoint-16"
        assert not (state.folder / "checkpoint-8").exists()


@pytest.mark.parametrize("anew", [False, True])
def test_what_a_kill_left_of_a_folder_that_was_being_removed_belongs_to_no_run(anew: bool, tmp_path: Path) -> None:
    left = tmp_path / "state" / "checkpoint-8"
    left.mkdir(parents=True)
    (left / COMPLETE).touch()
    with training_state(tmp_path / "state", RUN, anew=anew) as state:
        assert state.newest is None
        assert not left.exists()


def test_the_log_of_a_gradient_that_overflowed_is_read(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1, "grad_norm": Infinity, "loss": NaN}]}')
    assert trainer_log(tmp_path)[0]["step"] == 1


def test_another_run_is_refused_or_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with suppress(ZeroDivisionError), training_state(folder, RUN) as state:
        (state.folder / "checkpoint-8").mkdir()
        (state.folder / "checkpoint-8" / COMPLETE).touch()
        raise ZeroDivisionError
    other = {**RUN, "seed": 1}
    with (
        pytest.raises(TrainingError, match="with another seed; give the same command to continue it, or --overwrite"),
        training_state(folder, other),
    ):
        pass
    with training_state(folder, other, anew=True) as state:
        assert state.newest is None


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with (
        training_state(tmp_path / "state", RUN),
        pytest.raises(TrainingError, match=r"another run is training in .*; wait until it is done, or give the output"),
        training_state(tmp_path / "state", RUN),
    ):
        pass


@pytest.mark.parametrize(
    "write", [lambda place: place.write_bytes(bytes(4000)), lambda place: torch.save(torch.zeros(4000), place)]
)
def test_a_full_disk_is_reported_and_what_was_whole_is_kept(write: Callable[[Path], object], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = tmp_path / "state"
    with training_state(folder, RUN) as state:
        assert state.folder == folder
        written = (folder / MADE_FROM).read_text()

    def fill() -> None:
        with training_state(folder, RUN):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
            write(folder / "checkpoint.bin")

    try:
        with pytest.raises(OutputError, match=r"no space left while writing .*; what was whole is kept to go on from"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (folder / MADE_FROM).read_text() == written


def test_other_processes_of_a_launch_leave_the_folder_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with training_state(tmp_path / "state", RUN) as state:
        assert not state.folder.exists()


def test_the_log_is_that_of_the_trainer(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1}]}')
    assert trainer_log(tmp_path) == [{"step": 1}]
