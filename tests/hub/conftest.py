"""A finished checkpoint with its ONNX folder, the double of the Hub, and facts of a model that nobody made."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source

TOKEN = "hf_" + "NoSecretOfAnybody" * 2


DIGEST = "ab" * 32
MACHINE = {
    "cpu": "Some CPU",
    "cores": 4,
    "gpu": None,
    "threads": 2,
    "rounds": 5,
    "repeats": 10,
    "versions": {"torch": "2.13.0", "python": "3.11.7"},
}
TIMING = {"runtime": "torch", "batch_size": 1, "length": 32}
FACTS: dict[str, Any] = {
    "compression": {
        "format": 1,
        "base_model": "some-bert",
        "base_sha256": "cd" * 32,
        "base_revision": None,
        "base_weights": {"bytes": 45_439_980, "dtype": "float32"},
        "base_card": {},
        "command": ["fwsvd-export", "compress", "some-bert", "small", "--ratio", "0.25"],
        "method": "kfac",
        "allocate": "greedy",
        "parameters": {
            "linear_dense": 16_384,
            "linear_compressed": 4_096,
            "ratio": 0.25,
            "total_dense": 22_713,
            "total_compressed": 10_425,
        },
        "fisher": {"task": "sst2", "data": "train.jsonl", "examples": 2048, "labels": "data", "max_length": 128},
        "versions": {"torch": "2.13.0"},
    },
    "layers": {"all": 12, "kept_dense": 1},
    "model": {
        "class": "LowRankBertForSequenceClassification",
        "auto_class": "AutoModelForSequenceClassification",
        "max_tokens": 512,
        "weights": {"bytes": 29_519_324, "dtype": "float32", "sha256": DIGEST},
    },
    "onnx": {
        "files": {"model.onnx": 59_000_000, "model_quantized.onnx": 15_000_000},
        "opset": 17,
        "check": {"atol": 1e-4, "within": True, "max_difference": 2.5e-6, "shapes": 14},
        "int8": {"max_difference": 0.31},
    },
    "measurements": {
        "format": 1,
        "published": None,
        "scores": [
            {
                "model": name,
                "sha256": DIGEST,
                "task": "sst2",
                "data": "validation.jsonl",
                "runtime": "torch",
                "metric": "accuracy",
                "value": value,
                "beside": {"f1": value - 0.125},
                "examples": 872,
                "environment": MACHINE,
            }
            for name, value in (("dense", 0.8842), ("compressed", 0.875))
        ],
        "runs": [
            {
                "environment": MACHINE,
                "models": [
                    {
                        "model": name,
                        "sha256": DIGEST,
                        "parameters": 1,
                        "runtimes": {"torch": {"file_bytes": 45_439_980}, "onnxruntime": {"file_bytes": 91_000_000}},
                        "latency": [
                            {**TIMING, "median_ms": ms, "p90_ms": ms, "speedup": 9.75 / ms, "flops_ratio": 3.9}
                        ],
                    }
                    for name, ms in (("dense", 9.75), ("compressed", 3.9))
                ],
            }
        ],
    },
}


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


@pytest.fixture(scope="session")
def make_facts() -> Callable[..., Any]:
    """A function that gives the facts with other values: make_facts(compression={"method": "svd"}, onnx=None)."""

    def make(**changes: Any) -> Any:
        facts = copy.deepcopy(FACTS)
        for name, value in changes.items():
            facts[name] = {**facts[name], **value} if isinstance(value, dict) and facts[name] else value
        return facts

    return make
