"""What is written is whole, readable by others, and read back as it was."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from fwsvd_export.errors import OutputError, OutputWarning
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.files import save_statistics
from fwsvd_export.records import Statistics, StatisticsSource
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output


@pytest.fixture
def statistics(tiny_model: Any, make_batches: Callable[..., Any]) -> Statistics:
    source = StatisticsSource("0" * 64, "sst2", "täglich.jsonl", "sampled", 128, 7)
    batches = make_batches(6, 3)
    return collect_statistics(tiny_model, batches, collect=("kfac", "row", "element"), source=source)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "no")])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_exception_leaves_nothing_and_keeps_what_was_there(kind: str, error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")

    def write(path: Path) -> None:
        with atomic_output(path, overwrite=True) as made:
            if kind == "folder":
                made.mkdir()
            (made / "part" if kind == "folder" else made).write_text("half")
            raise error

    for name in ("old", "new"):
        with pytest.raises(type(error)):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        SafetensorError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'),
    ],
)
def test_a_full_disk_is_told_as_such(error: Exception, tmp_path: Path) -> None:
    def write() -> None:
        with atomic_output(tmp_path / "out") as made:
            made.write_text("half")
            raise error

    with pytest.raises(OutputError, match="no space left"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_safetensors_stay_themselves(tmp_path: Path) -> None:
    with pytest.raises(SafetensorError), atomic_output(tmp_path / "out"):
        raise SafetensorError("I/O error: Permission denied (os error 13)")


@pytest.mark.parametrize("old", ["file", "folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
def test_overwrite_replaces_files_and_folders_by_either(old: str, new: str, tmp_path: Path) -> None:
    def make(path: Path, kind: str, text: str) -> None:
        if kind == "folder":
            path.mkdir()
        (path / text if kind == "folder" else path).write_text(text)

    out = tmp_path / "out"
    make(out, old, "old")
    with pytest.raises(OutputError, match="--overwrite"), atomic_output(out):
        make(out, new, "never")
    with atomic_output(out, overwrite=True) as made:
        make(made, new, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["new"] if new == "folder" else out.read_text() == "new"


def test_an_output_is_as_readable_as_any_other_file(statistics: Statistics, tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0o027)
    try:
        save_statistics(statistics, tmp_path / "file")
        with atomic_output(tmp_path / "folder") as made:
            (made / "inner").mkdir(parents=True)
            save_statistics(statistics, made / "inner" / "file")
            (made / "private").touch(0o600)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == mode(tmp_path / "folder" / "inner" / "file") == 0o640
    assert mode(tmp_path / "folder" / "private") == 0o640
    assert mode(tmp_path / "folder") == mode(tmp_path / "folder" / "inner") == 0o750


def test_a_parent_that_is_missing_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=f"{tmp_path}/missing does not exist"),
        atomic_output(tmp_path / "missing/out"),
    ):
        pass


@pytest.mark.parametrize("path", [".", "..", "inner/.."])
def test_the_working_folder_is_no_output(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(OutputError, match="a name of its own"), atomic_output(Path(path), overwrite=True):
        pass
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "empty", tmp_path / "empty" / "inner"]


def test_a_relative_output_lands_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_output(Path("out")) as made:
        write_json(made, {"größe": 1})
    assert (tmp_path / "out").read_text(encoding="utf-8") == '{\n  "größe": 1\n}\n'


def write(path: Path, kind: str, text: str) -> None:
    """A file, or a folder with a file, whose name or content says who made it."""
    if kind == "folder":
        path.mkdir()
    (path / text if kind == "folder" else path).write_text(text)


def content(path: Path) -> list[str]:
    """What ``write`` was called with."""
    return [file.name for file in path.iterdir()] if path.is_dir() else [path.read_text()]


@pytest.mark.parametrize("theirs", ["file", "folder"])
@pytest.mark.parametrize("ours", ["file", "folder"])
@pytest.mark.parametrize("there", ["nothing", "empty folder"])
def test_of_two_runs_the_later_one_fails_and_keeps_nothing(ours: str, theirs: str, there: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if there == "empty folder":
        out.mkdir()

    def run() -> None:
        with atomic_output(out) as made:
            write(made, ours, "second")
            with atomic_output(out) as other:  # begins later and is done first
                write(other, theirs, "first")

    with pytest.raises(OutputError) as caught:
        run()
    for word in (f"{out} exists already", "another run wrote it while this one worked", "nothing", "--overwrite"):
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == [out]
    assert content(out) == ["first"]


@pytest.mark.parametrize("theirs", ["file", "folder"])
@pytest.mark.parametrize("ours", ["file", "folder"])
@pytest.mark.parametrize("there", ["nothing", "file", "folder"])
def test_of_two_runs_that_overwrite_the_last_one_is_there_whole(
    ours: str, theirs: str, there: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if there != "nothing":
        write(out, there, "old")
    with atomic_output(out, overwrite=True) as made:
        write(made, ours, "second")
        with atomic_output(out, overwrite=True) as other:
            write(other, theirs, "first")
    assert list(tmp_path.iterdir()) == [out]
    assert content(out) == ["second"]


def test_runs_that_overwrite_at_the_same_time_all_end_well(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fwsvd_export.storage.output import atomic_output\n"
        "for turn in range(30):\n"
        "    with atomic_output(Path(sys.argv[1]), overwrite=True) as made:\n"
        "        made.mkdir(); (made / 'a').write_text(sys.argv[2]); (made / 'b').write_text(sys.argv[2])\n"
    )
    out = tmp_path / "out"
    processes = [subprocess.Popen([sys.executable, "-c", program, out, name]) for name in "xyz"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [out]
    assert (out / "a").read_text() == (out / "b").read_text()
    assert len(list(out.iterdir())) == 2


def test_a_file_system_without_links_replaces_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    out = tmp_path / "out"

    def run(text: str, *, meanwhile: bool = False) -> None:
        with atomic_output(out) as made:
            made.write_text(text)
            if meanwhile:
                out.write_text("another's")

    with pytest.raises(OutputError, match="exists already: another run"):
        run("ours", meanwhile=True)
    assert out.read_text() == "another's"
    out.unlink()
    run("ours")
    assert out.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), OSError(errno.ENOSPC, "full")])
def test_a_rename_that_fails_puts_the_old_output_back(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write(out, "folder", "old")
    rename = Path.rename

    def rename_but(self: Path, target: Path) -> Path:
        if not os.path.lexists(out):  # the old output is set aside
            monkeypatch.setattr(Path, "rename", rename)
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_but)

    def run() -> None:
        with atomic_output(out, overwrite=True) as made:
            write(made, "folder", "new")

    with pytest.raises((OSError, OutputError)):
        run()
    assert list(tmp_path.iterdir()) == [out]
    assert content(out) == ["old"]


def killed_run(out: Path, program: str) -> None:
    """A run of a program with ``out`` as ``sys.argv[1]`` that is killed where it kills itself."""
    begin = "import os, signal, sys; from pathlib import Path\nfrom fwsvd_export.storage import output\n"
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", begin + program.replace("KILL", kill), out], check=False)
    assert done.returncode == -signal.SIGKILL


HALF_WRITTEN = "with output.atomic_output(Path(sys.argv[1])) as made:\n    made.write_text('half'); KILL\n"
SET_ASIDE = (
    "moved = output._moved\n"
    "def stop(source, target, overwrite):\n"
    "    if not os.path.lexists(target): KILL\n"
    "    return moved(source, target, overwrite)\n"
    "output._moved = stop\n"
    "with output.atomic_output(Path(sys.argv[1]), overwrite=True) as made:\n    made.mkdir()\n"
)


def test_the_next_run_removes_what_a_killed_one_left_and_says_so(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "out.2"
    killed_run(out, HALF_WRITTEN)
    killed_run(other, HALF_WRITTEN)
    ours, theirs = sorted(tmp_path.iterdir(), key=lambda path: path.name.startswith(".out.2"))
    assert ours.name.startswith(".out.partial-")
    words = rf"^Removed {re.escape(str(ours))}, left by a run that was killed\.$"
    with pytest.warns(OutputWarning, match=words), atomic_output(out) as made:
        made.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([out, theirs]), "another output's is another run's to remove"


def test_an_output_that_a_killed_run_was_replacing_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "folder", "old")
    killed_run(out, SET_ASIDE)
    assert not out.exists()

    def run() -> None:
        with atomic_output(out):
            pass

    with (
        pytest.warns(OutputWarning, match=rf"^Put {re.escape(str(out))} back, which a run that was killed was"),
        pytest.raises(OutputError, match="exists already; choose another name or give --overwrite"),
    ):
        run()
    assert list(tmp_path.iterdir()) == [out]
    assert content(out) == ["old"]
