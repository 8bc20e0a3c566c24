"""The model that comes in: never written over, sound, and dense where it has to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.errors import CheckpointError, OutputError, UnsupportedModelError
from fwsvd_export.workflows.source import Source, Stopwatch, check_folder, load_dense, load_source


def test_the_folder_of_the_model_is_never_the_output(tiny_folder: Path, tmp_path: Path) -> None:
    for overwrite in (True, False):
        with pytest.raises(OutputError, match="never replaced"):
            check_folder(Source(str(tiny_folder)), tiny_folder, overwrite)
    check_folder(Source(str(tiny_folder)), tmp_path / "new", overwrite=False)


def test_weights_that_are_not_finite_are_named(tiny_model: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        tiny_model.classifier.bias[0] = float("nan")
    tiny_model.save_pretrained(tmp_path / "broken")
    with pytest.raises(CheckpointError, match=r"classifier\.bias .*NaN"):
        load_source(Source(str(tmp_path / "broken"), device="cpu"))


def test_a_compressed_model_is_no_dense_one(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    assert not load_dense(Source(str(tiny_folder), device="cpu")).compressed
    compress(tiny_model, method="svd", rank=4).save_pretrained(tmp_path / "small")
    with pytest.raises(UnsupportedModelError, match="already compressed"):
        load_dense(Source(str(tmp_path / "small"), device="cpu"))


def test_times_of_one_name_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.5, 10.0, 10.25, 20.0, 21.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    clock = Stopwatch()
    for name in ("load", "load", "write"):
        with clock.phase(name):
            pass
    assert clock.seconds == {"load": 1.75, "write": 1.0}
