"""What the program that loads a checkpoint in a clean environment says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import fwsvd_export.hub.verify.clean_program
from fwsvd_export import compress

# Runs the program's own function on many folders in one process
MANY = """
import sys
sys.argv = sys.argv[:1] + sys.argv[1:]
folders = sys.argv[1:-1]
sys.meta_path.insert(0, Blocked())
print(json.dumps({folder: problems_of(folder, auto) for folder, auto in map(lambda pair: pair.split("="), folders)}))
"""


def save_weights(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def problems(
    checkpoint: Path, make_head: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What one process says of several checkpoints."""
    import shutil

    room = tmp_path_factory.mktemp("checkpoints")
    for name in ("sound", "lacking", "surplus", "infinite", "wordy"):
        shutil.copytree(checkpoint, room / name)
    save_weights(room / "lacking", lambda weights: weights.pop("classifier.bias"))
    save_weights(room / "surplus", lambda weights: weights.update(other=torch.zeros(2)))
    save_weights(room / "infinite", lambda weights: weights["classifier.bias"].fill_(float("nan")))
    tokenizer = json.loads((room / "wordy" / "tokenizer.json").read_text())
    for number in range(9):
        tokenizer["model"]["vocab"][f"word{number}"] = 25 + number
    (room / "wordy" / "tokenizer.json").write_text(json.dumps(tokenizer))
    for head in ("BertForMultipleChoice", "BertModel"):
        compress(make_head(head), method="svd", rank=5).save_pretrained(room / head)
    classes = {"BertForMultipleChoice": "AutoModelForMultipleChoice", "BertModel": "AutoModel"}
    pairs = [f"{path}={classes.get(path.name, 'AutoModelForSequenceClassification')}" for path in room.iterdir()]
    program = Path(str(fwsvd_export.hub.verify.clean_program.__file__)).read_text().partition("\nif __name__")[0]
    environment = {**os.environ, "HF_HOME": str(room / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", program + MANY, *pairs, "end"]
    place = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {Path(folder).name: said for folder, said in json.loads(done.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("name", ["sound", "BertForMultipleChoice", "BertModel"])
def test_sound_checkpoints_load(name: str, problems: dict[str, list[str]]) -> None:
    assert problems[name] == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("lacking", "the weights have 1 missing keys, the first is classifier.bias"),
        ("surplus", "the weights have 1 unexpected keys, the first is other"),
        ("infinite", "its outputs are not finite"),
        ("wordy", "the tokenizer has 34 tokens, the model 25"),
    ],
)
def test_what_a_stranger_would_meet_is_told(name: str, problem: str, problems: dict[str, list[str]]) -> None:
    assert problems[name] == [problem]


def test_an_exception_of_the_program_is_told_and_the_package_is_blocked(tmp_path: Path) -> None:
    """Imports no library: the folder and the class do not exist, and looking at them comes first or not at all."""
    text = Path(str(fwsvd_export.hub.verify.clean_program.__file__)).read_text()
    broken = text.replace("    import torch\n", "    import fwsvd_export\n")
    assert broken != text
    done = subprocess.run(
        [sys.executable, "-c", broken, "nowhere", "AutoModel"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["fwsvd_export"]
