"""The lines of a card run as they stand, in a process without this package: from a folder, and from a Hub cache."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fwsvd_export as fe
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.hub.card.write import write_card
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source

COMMIT = "ab" * 20
RUNNER = '''
import json, sys

class Blocked:
    """Makes every import of these packages fail, wherever they are installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in order["blocked"]:
            raise ImportError(name)

order = json.loads(sys.argv[1])
sys.meta_path.insert(0, Blocked())
for blocks in order["cards"]:
    names = {}
    for block in blocks:
        exec(block, names)
print("left out:", [name for name in order["blocked"] if name in sys.modules])
'''


@pytest.fixture(scope="module")
def cards(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A place with the model as a folder and as a snapshot of the Hub, and the Python blocks of both cards."""
    place = tmp_path_factory.mktemp("place")
    model = place / "this-model"
    run_compress(
        CompressRequest(
            Source(str(tiny_folder), device="cpu"), model, "svd", RankRequest(Budget(rank=5)), dtype="float16"
        )
    )
    run_onnx(OnnxRequest(Source(str(model), device="cpu"), int8=True))
    write_card(model, read_compression(model))
    hub = place / "home" / "hub" / "models--me--tiny-small"
    snapshot = hub / "snapshots" / COMMIT
    shutil.copytree(model, snapshot)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(COMMIT)
    write_card(snapshot, read_compression(snapshot), repo_id="me/tiny-small", revision=COMMIT)
    found = []
    for folder in (model, snapshot):
        blocks = re.findall(r"```python\n(.*?)\n```", (folder / "README.md").read_text(), flags=re.DOTALL)
        assert len(blocks) == 3
        found.append(blocks)
    return place, found


def output_of(place: Path, blocked: list[str], blocks: list[list[str]]) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(place / "home"), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_MODULES_CACHE"):
        environment.pop(name, None)
    command = [sys.executable, "-c", RUNNER, json.dumps({"blocked": blocked, "cards": blocks})]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", line)]


def test_every_block_runs_without_this_package(cards: tuple[Path, list[list[str]]]) -> None:
    place, blocks = cards
    # optimum's reader does not exist for transformers 5; its block says only how to open the file
    has_optimum = importlib.util.find_spec("optimum") is not None and importlib.util.find_spec("optimum.onnxruntime")
    taken = blocks if has_optimum else [card[:2] for card in blocks]
    *answers, left_out = output_of(place, ["fwsvd_export"], taken)
    assert left_out == "left out: []"
    assert len(answers) == 4
    first: Any = None
    for line in answers:
        assert len(numbers(line)) == 2
        first = first or numbers(line)
        assert numbers(line) == pytest.approx(first, abs=2e-3), "torch and onnxruntime, a folder and the Hub: one model"


def test_the_onnx_block_needs_neither_torch_nor_transformers(cards: tuple[Path, list[list[str]]]) -> None:
    place, blocks = cards
    blocked = ["fwsvd_export", "torch", "transformers"]
    *answers, left_out = output_of(place, blocked, [[card[1]] for card in blocks])
    assert left_out == "left out: []"
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_every_block_of_a_model_without_a_tokenizer_runs_too(make_head: Any, tmp_path: Path) -> None:
    model = tmp_path / "this-model"
    fe.compress(make_head("DistilBertForMultipleChoice"), method="svd", rank=5).save_pretrained(model)
    run_onnx(OnnxRequest(Source(str(model), device="cpu")))
    write_card(model, read_compression(model))
    card = (model / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)\n```", card, flags=re.DOTALL)
    assert not any("okenizer(" in block or "Tokenizer." in block for block in blocks)
    assert "No tokenizer lies here" in card
    first, second, left_out = output_of(tmp_path, ["fwsvd_export"], [blocks[:2]])
    assert left_out == "left out: []"
    assert numbers(first) == pytest.approx(numbers(second), abs=1e-4)
