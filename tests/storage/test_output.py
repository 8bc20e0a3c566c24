"""What is written is whole, readable by others, and read back as it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open

from fwsvd_export.errors import OutputError, StatisticsError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.records import LayerStatistics, Statistics, StatisticsSource
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output


@pytest.fixture
def statistics(tiny_model: Any, make_batches: Callable[..., Any]) -> Statistics:
    source = StatisticsSource("0" * 64, "sst2", "täglich.jsonl", "sampled", 128, 7)
    batches = make_batches(6, 3)
    return collect_statistics(tiny_model, batches, collect=("kfac", "row", "element"), source=source)


def test_statistics_read_back_are_those_that_were_saved(statistics: Statistics, tmp_path: Path) -> None:
    save_statistics(statistics, tmp_path / "fisher.safetensors")
    read = load_statistics(tmp_path / "fisher.safetensors")
    for name in ("examples", "tokens", "collected", "source"):
        assert getattr(read, name) == getattr(statistics, name)
    assert list(read.layers) == list(statistics.layers)
    for name, layer in statistics.layers.items():
        for field in fields(LayerStatistics):
            assert torch.equal(getattr(read.layers[name], field.name), getattr(layer, field.name))


def test_a_sample_is_read_back_and_so_is_its_absence(statistics: Statistics, tmp_path: Path) -> None:
    types = torch.ones_like(statistics.sample.token_ids)
    with_types = replace(statistics.sample, inputs={"token_type_ids": types})
    for name, sample in {"types": with_types, "without": None}.items():
        save_statistics(replace(statistics, sample=sample), tmp_path / name)
        read = load_statistics(tmp_path / name).sample
        assert (read is None) == (sample is None)
        if sample is not None:
            assert torch.equal(read.token_ids, sample.token_ids)
            assert torch.equal(read.lengths, sample.lengths)
            assert read.attention_mask is sample.attention_mask is None
            assert torch.equal(read.inputs["token_type_ids"], types)
            assert len(read.inputs) == 1


def test_a_file_of_the_first_format_is_read_as_one_without_a_sample(
    statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.fisher.files.STATISTICS_FORMAT", 1)
    save_statistics(replace(statistics, sample=None), tmp_path / "old.safetensors")
    monkeypatch.undo()
    read = load_statistics(tmp_path / "old.safetensors")
    assert (read.examples, read.sample) == (statistics.examples, None)


def test_a_shared_gram_is_stored_once_and_stays_shared(statistics: Statistics, tmp_path: Path) -> None:
    save_statistics(statistics, tmp_path / "fisher.safetensors")
    with safe_open(tmp_path / "fisher.safetensors", framework="pt") as file:
        grams = [key for key in file.keys() if key.endswith("input_gram")]  # noqa: SIM118 - safe_open is no dict
    assert len(grams) == 2 * 4
    layers = load_statistics(tmp_path / "fisher.safetensors").layers
    query, key, dense = (
        layers[f"encoder.layer.0.attention.{path}"].input_gram for path in ("self.query", "self.key", "output.dense")
    )
    assert query is key
    assert query is not dense


def test_collections_that_were_not_made_are_read_as_none(tmp_path: Path) -> None:
    rows = LayerStatistics(row_input=torch.ones(3), row_output=torch.ones(2))
    statistics = Statistics({"layer": rows}, 1, 1, ("row",), StatisticsSource("0" * 64))
    save_statistics(statistics, tmp_path / "rows.safetensors")
    layer = load_statistics(tmp_path / "rows.safetensors").layers["layer"]
    assert (layer.input_gram, layer.gradient_gram, layer.element) == (None, None, None)


def test_statistics_of_another_format_are_refused(
    statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.fisher.files.STATISTICS_FORMAT", 3)
    save_statistics(statistics, tmp_path / "new.safetensors")
    monkeypatch.undo()
    with pytest.raises(StatisticsError, match="has format 3, this version reads 2"):
        load_statistics(tmp_path / "new.safetensors")


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


def test_sha256_of_a_file_longer_than_one_block(tmp_path: Path) -> None:
    import hashlib

    content = bytes(3 << 20) + b"end"
    (tmp_path / "long").write_bytes(content)
    assert file_sha256(tmp_path / "long") == hashlib.sha256(content).hexdigest()
