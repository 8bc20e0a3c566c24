"""Graphs of small models in memory, and processes that lack some packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from transformers import BertForSequenceClassification

from fwsvd_export import compress
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.export.folder import plain_settings
from fwsvd_export.export.trace import trace
from fwsvd_export.records import RankLimits
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER
from tests.export.stamp import IDENTITY

BLOCK = '''
import json, sys

class Blocked:
    """Makes every import of these packages fail, wherever they are installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())

def is_blocked(name):
    try:
        __import__(name)
    except ImportError:
        return name not in sys.modules
    return False
'''


@pytest.fixture
def answer_of(tmp_path: Path) -> Callable[..., Any]:
    """A function that runs a program without some packages: answer_of(program, blocked, *arguments); what it prints."""

    def run(program: str, blocked: list[str], *arguments: object) -> Any:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-c", f"BLOCKED = {blocked!r}\n{BLOCK}{program}", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def small_model(tiny_folder: Path) -> Any:
    """The two-class model in factors of rank 5; its second value layer stays dense."""
    return compress(
        BertForSequenceClassification.from_pretrained(tiny_folder).eval(),
        method="svd",
        rank=5,
        limits=RankLimits(keep_dense=("encoder.layer.1.attention.self.value",)),
    )


@pytest.fixture(scope="session")
def graph(small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its ONNX graph. Do not change it."""
    return trace(encoder_of(small_model), 17, tmp_path_factory.mktemp("graph") / "model.onnx")


@pytest.fixture(scope="session")
def quantizable(small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its ONNX graph with all biases outside the weights. Do not change it."""
    file = tmp_path_factory.mktemp("quantizable") / "model.onnx"
    return trace(encoder_of(small_model), 17, file, carry_limit=0)


@pytest.fixture(scope="module")
def place(graph: Any, small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with onnx/, stamped with IDENTITY. Do not write into it."""
    parent = tmp_path_factory.mktemp("place")
    folder = parent / ONNX_FOLDER
    folder.mkdir()
    stamped = onnx.ModelProto()
    stamped.CopyFrom(graph)
    IDENTITY.stamp(stamped)
    onnx.save(stamped, folder / ONNX_FILE)
    (folder / "config.json").write_text(json.dumps(plain_settings(encoder_of(small_model))))
    return parent
