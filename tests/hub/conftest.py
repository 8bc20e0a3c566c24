"""A finished checkpoint with its ONNX folder, and the double of the Hub."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fwsvd_export.exporting import OnnxRequest, run_onnx
from fwsvd_export.pipeline import CompressRequest, Source, run_compress
from fwsvd_export.records import Budget, RankRequest

TOKEN = "hf_" + "NoSecretOfAnybody" * 2


@pytest.fixture(scope="session")
def checkpoint(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two-class model, compressed, with onnx/. Do not write into it."""
    folder = tmp_path_factory.mktemp("finished") / "small"
    run_compress(CompressRequest(Source(str(tiny_folder), device="cpu"), folder, "svd", RankRequest(Budget(rank=5))))
    assert run_onnx(OnnxRequest(Source(str(folder), device="cpu"))).within_atol
    return folder


@pytest.fixture
def changed(checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that copies the checkpoint with other files in it: changed({"notes.txt": b"mine"})."""

    def change(files: dict[str, bytes | None]) -> Path:
        folder = tmp_path / "small"
        shutil.copytree(checkpoint, folder)
        for name, content in files.items():
            path = folder / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
        return folder

    return change


@pytest.fixture(scope="module")
def hub_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Starts the double; the environment of processes that take it for the Hub."""
    command = [sys.executable, str(Path(__file__).with_name("hub_double.py")), TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as double:
        try:
            assert double.stdout is not None
            port = int(double.stdout.readline())
            home = tmp_path_factory.mktemp("home")
            left_out = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_OFFLINE")
            yield {
                **{name: value for name, value in os.environ.items() if name not in left_out},
                "HF_ENDPOINT": f"http://127.0.0.1:{port}",
                "HF_HOME": str(home),
                "HF_TOKEN": TOKEN,
                "HF_HUB_DISABLE_XET": "1",
                "NO_PROXY": "127.0.0.1",
            }
        finally:
            double.kill()
