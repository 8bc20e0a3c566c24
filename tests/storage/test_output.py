"""What is written is whole, readable by others, and read back as it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from fwsvd_export.errors import OutputError
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
