"""One process at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fwsvd_export.storage import locks
from fwsvd_export.storage.locks import exclusive, lock

# Adds one to a number in a file, slowly enough that two processes would read the same number
PROGRAM = """
import sys, time
from pathlib import Path
from fwsvd_export.storage.locks import exclusive
folder = Path(sys.argv[1])
for _ in range(5):
    with exclusive(folder):
        number = int((folder / "number").read_text())
        time.sleep(0.01)
        (folder / "number").write_text(str(number + 1))
"""


def test_blocks_of_the_same_folder_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "number").read_text() == "10"
    assert [file.name for file in tmp_path.iterdir()] == ["number"]


def test_a_lock_that_another_holds_is_not_waited_for_unless_asked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    first, second = (os.open(file, os.O_RDWR) for _ in range(2))
    lock(first, wait=False)
    with pytest.raises(BlockingIOError):
        lock(second, wait=False)
    os.close(first)
    lock(second, wait=True)
    os.close(second)


def test_a_file_system_without_locks_lets_everybody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, wait: bool) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "lock", none)
    start = time.monotonic()
    with exclusive(tmp_path), exclusive(tmp_path):
        pass
    assert time.monotonic() - start < 60


def test_an_operating_system_without_locks_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(OSError, match="no flock"):
        lock(0, wait=False)
