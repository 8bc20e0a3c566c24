"""The folder of a sweep: cells by key, one process at a time on each, and nobody else's folder."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fwsvd_export.errors import OutputError, SweepError
from fwsvd_export.sweep.store import SUBJECT_FILE, Subject, SweepStore, read_result
from tests.sweep.test_result import RESULT, ROW

SUBJECT = Subject(
    model="dense", base="0" * 64, task="sst2", reading="1" * 64, data="train.jsonl", rows="2" * 64,
    validation="validation.jsonl", held_out="3" * 64,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> SweepStore:
    """An empty one."""
    return SweepStore(tmp_path / "sweep", SUBJECT)


def test_a_row_is_read_as_it_was_written(store: SweepStore) -> None:
    assert not store.has(ROW.key)
    store.save(ROW)
    assert store.has(ROW.key)
    assert store.row(ROW.key) == ROW
    assert sorted(path.name for path in (store.folder / "cells").iterdir()) == [f"{ROW.key}.json"]


def test_a_folder_is_opened_again_under_other_names_for_the_same_digests(store: SweepStore) -> None:
    SweepStore(store.folder, replace(SUBJECT, model="copy", data="rows.csv"))
    assert json.loads((store.folder / SUBJECT_FILE).read_text())["model"] == "dense"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"base": "9" * 64, "model": "other"},
            "sweep of another model: dense (000000000000…), and this one is of other",
        ),
        ({"reading": "9" * 64}, "another task, columns or lengths: sst2"),
        (
            {"rows": "9" * 64},
            "another data: train.jsonl (222222222222…), and this one is of train.jsonl (999999999999…)",
        ),
        ({"held_out": "9" * 64}, "another validation data: validation.jsonl"),
    ],
)
def test_a_folder_of_something_else_is_refused(change: dict[str, str], said: str, store: SweepStore) -> None:
    with pytest.raises(SweepError) as caught:
        SweepStore(store.folder, replace(SUBJECT, **change))
    assert said in str(caught.value)
    assert "give another folder with -o" in str(caught.value)


def test_a_folder_with_other_files_is_refused_and_a_damaged_one_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        SweepStore(tmp_path, SUBJECT)
    (tmp_path / SUBJECT_FILE).write_text("{")
    with pytest.raises(SweepError, match=r"sweep\.json is not readable JSON.*give another folder"):
        SweepStore(tmp_path, SUBJECT)
    (tmp_path / SUBJECT_FILE).write_text('{"format": 2}')
    with pytest.raises(SweepError, match="has format 2, this version reads 1"):
        SweepStore(tmp_path, SUBJECT)


def test_a_damaged_cell_is_named_with_what_to_do(store: SweepStore) -> None:
    store.save(ROW)
    file = store.folder / "cells" / f"{ROW.key}.json"
    file.write_text(file.read_text().replace('"kfac"', "1", 1))
    with pytest.raises(SweepError, match=r"method is 1, .* delete the file, and what it said is worked out again"):
        store.row(ROW.key)


def test_one_process_at_a_time_has_a_cell_and_its_folder_goes_when_the_cell_is_there(store: SweepStore) -> None:
    with store.claimed(ROW.key, wait=False) as first:
        assert first is not None
        (first / "state").touch()
        with store.claimed(ROW.key, wait=False) as second:
            assert second is None
    assert (first / "state").is_file()
    with store.claimed(ROW.key, wait=True) as again:
        assert again == first
        store.save(ROW)
    assert not first.exists()
    store.tidy()
    assert not (store.folder / "work").exists()


def test_a_claim_on_a_folder_that_its_owner_removed_waits_for_nobody(store: SweepStore) -> None:
    child = os.fork()
    if child == 0:
        with SweepStore(store.folder, SUBJECT).claimed(ROW.key, wait=True):
            os._exit(9)  # ends the lock, as SIGKILL would, and leaves the folder
    os.waitpid(child, 0)
    with store.claimed(ROW.key, wait=False) as folder:
        assert folder is not None


def test_what_a_killed_run_left_of_a_cell_that_is_done_is_removed(store: SweepStore) -> None:
    with store.claimed(ROW.key, wait=False), store.claimed("other", wait=False):
        pass
    store.save(ROW)
    store.tidy()
    assert [path.name for path in (store.folder / "work").iterdir()] == ["other"]


def test_what_another_process_works_on_stays_also_when_its_cell_is_there(store: SweepStore) -> None:
    store.save(ROW)  # its model, which is to be kept, is made again
    with store.claimed(ROW.key, wait=False) as folder:
        assert folder is not None
        SweepStore(store.folder, SUBJECT).tidy()
        assert folder.is_dir()
    assert not folder.exists()


def test_seconds_add_up_over_the_writes(store: SweepStore) -> None:
    store.write_result(RESULT, {"statistics": 2.0})
    written = store.write_result(RESULT, {"statistics": 1.5, "train": 3.0})
    assert written.seconds == {"statistics": 3.5, "train": 3.0}
    assert read_result(store.folder) == written
