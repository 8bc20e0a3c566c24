"""Temporary folders of runs that were killed are found and removed; those of runs that live, and others, are not."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fwsvd_export.errors import OutputWarning
from fwsvd_export.storage import temporary
from fwsvd_export.storage.temporary import RANDOM, abandoned_folders, scratch_folder, temporary_folder

NAMES = re.compile(f"made-{RANDOM}")
# Makes a temporary folder with something in it, says its name and waits
PROGRAM = """
import sys, time
from pathlib import Path
from fwsvd_export.storage.temporary import {function}
with {call} as folder:
    (folder / "part").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def another_run(parent: Path, function: str = "temporary_folder") -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has made a temporary folder, and the folder."""
    call = "scratch_folder('data')" if function == "scratch_folder" else "temporary_folder('made-', Path(sys.argv[1]))"
    program = PROGRAM.format(function=function, call=call)
    environment = {**os.environ, "TMPDIR": str(parent)}
    command = [sys.executable, "-c", program, str(parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_is_private_locked_and_goes_with_its_block(tmp_path: Path) -> None:
    with temporary_folder("made-", tmp_path) as folder:
        assert NAMES.fullmatch(folder.name)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [file.name for file in folder.iterdir()] == [f"{folder.name}.lock"]
        assert list(abandoned_folders(NAMES, tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_goes_when_its_block_fails(error: type[BaseException], tmp_path: Path) -> None:
    def fail() -> None:
        with temporary_folder("made-", tmp_path) as folder:
            (folder / "inner").mkdir()
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_found_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    with another_run(tmp_path) as (alive, kept), another_run(tmp_path) as (victim, left):
        assert list(abandoned_folders(NAMES, tmp_path)) == []
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        (found,) = abandoned_folders(NAMES, tmp_path)
        assert found == left
        assert alive.poll() is None
        assert list(tmp_path.iterdir()) == [kept]
        assert (kept / "part").read_text() == "half"


def test_the_content_is_there_until_the_next_turn(tmp_path: Path) -> None:
    with another_run(tmp_path) as (victim, left):
        victim.kill()
        victim.wait()
        for folder in abandoned_folders(NAMES, tmp_path):
            assert (folder / "part").read_text() == "half"
            assert list(abandoned_folders(NAMES, tmp_path)) == [], "a second run takes none that the first has taken"
        assert not left.exists()


def test_folders_that_no_run_has_made_stay(tmp_path: Path) -> None:
    (tmp_path / "made-examples").mkdir()  # eight letters, but no lock file
    (tmp_path / "made-ofsorts1").write_text("a file")
    (tmp_path / "made-elsewher").symlink_to(tmp_path / "made-examples")
    (tmp_path / "other-abcdefgh").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert list(abandoned_folders(NAMES, tmp_path)) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "made-abcdefgh"
    folder.mkdir()
    (folder / "made-abcdefgh.lock").symlink_to(victim)
    assert list(abandoned_folders(NAMES, tmp_path)) == []
    assert victim.read_text() == "mine"


def test_folders_of_other_users_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "made-abcdefgh"
    folder.mkdir()
    (folder / "made-abcdefgh.lock").touch()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert list(abandoned_folders(NAMES, tmp_path)) == []
    monkeypatch.undo()
    assert list(abandoned_folders(NAMES, tmp_path)) == [folder]


def test_nothing_is_removed_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, wait: bool) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(temporary, "lock", none)
    with temporary_folder("made-", tmp_path) as folder:
        assert list(abandoned_folders(NAMES, tmp_path)) == []
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_taken_for_abandoned_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def late(descriptor: int, wait: bool) -> None:
        if wait and not taken:  # another run comes between making the lock file and locking it
            taken.extend(abandoned_folders(NAMES, tmp_path))

    monkeypatch.setattr(temporary, "lock", late)
    with temporary_folder("made-", tmp_path) as folder:
        assert len(taken) == 1
        assert folder not in taken
        assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_leaves_no_folder_without_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="no space left"), temporary_folder("made-", tmp_path):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_scratch_data_of_killed_runs_is_removed_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        another_run(tmp_path, "scratch_folder") as (victim, left),
        another_run(tmp_path, "scratch_folder") as (_, kept),
    ):
        victim.kill()
        victim.wait()
        words = f"Removed {left}, temporary data of a run that was killed"
        with pytest.warns(OutputWarning, match=words), scratch_folder("bench") as folder:
            found = sorted(tmp_path.iterdir())
        assert folder.name.startswith("fwsvd-export-bench-")
        assert found == sorted([folder, kept])
