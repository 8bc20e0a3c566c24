"""fwsvd-export onnx on a full disk, and interrupted half way."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def model(compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compressed checkpoint that may be written into."""
    folder = tmp_path_factory.mktemp("model") / "small"
    shutil.copytree(compressed_folder, folder)
    return folder


def assert_full(result: Result, model: Path) -> None:
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: no space left while writing {model / 'onnx'}; nothing was kept")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", [1_000, 40_000])  # bytes: less than the tokenizer, less than the model
def test_a_full_disk_is_reported_and_leaves_nothing(limit: int, model: Path, run: Run) -> None:
    before = sorted(model.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        result = run("-q", "onnx", model, "--int8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_full(result, model)
    assert sorted(model.rglob("*")) == before


def fill(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["differences", "write_int8", "write_json"])
def test_what_stops_half_way_keeps_the_old_folder(
    step: str, model: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    (model / "onnx").mkdir()
    (model / "onnx" / "old.txt").write_text("old")
    before = sorted(model.rglob("*"))
    for stop, code in ((fill, 1), (interrupt, 130)):
        monkeypatch.setattr(f"fwsvd_export.workflows.export.{step}", stop)
        result = run("-q", "onnx", model, "--int8", "--overwrite")
        assert result.exit_code == code
        if stop is fill:
            assert_full(result, model)
        assert sorted(model.rglob("*")) == before
