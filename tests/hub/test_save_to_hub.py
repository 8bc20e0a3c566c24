"""What transformers itself pushes to the Hub, of a model of ours, loads from there with its code and its record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.architectures.registry import BERT
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.hub.card.write import write_card

CODE = {*BERT.code_files, "config.json", "compression.json", "model.safetensors"}
PATHS = os.pathsep.join(path for path in sys.path if path)  # where this package is found
# Pushes a model in every way of transformers, and loads what arrived; without this package, unless sys.argv[1] is false
PUSHER = '''
import json, os, sys
from pathlib import Path

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

blocked, base, room = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
if blocked:
    sys.meta_path.insert(0, Blocked())

import torch
from huggingface_hub import HfApi, hf_hub_download
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

trust = {"trust_remote_code": True}
ids = torch.arange(5, 15).reshape(2, 5)

def load(place):
    return AutoModelForSequenceClassification.from_pretrained(place, **trust).eval()

def found(name, model):
    with torch.no_grad():
        same = torch.equal(load(name)(ids).logits, model(ids).logits)
    record = json.loads(Path(hf_hub_download(name, "compression.json")).read_text())
    return {
        "files": sorted(HfApi().list_repo_files(name)),
        "same": same,
        "actions": [entry["action"] for entry in record["history"]],
        "recorded": sorted(record["files"]),
    }

if blocked:
    model, tokenizer = load(base), AutoTokenizer.from_pretrained(base, **trust)
else:
    import fwsvd_export as fe
    from transformers import BertForSequenceClassification
    model = fe.compress(BertForSequenceClassification.from_pretrained(base), method="svd", rank=5).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
start = "own" if not blocked else "other"
with torch.no_grad():
    model.classifier.bias.add_(0.25)
answers = {}

model.push_to_hub(f"me/{start}-model")
answers["push_to_hub"] = found(f"me/{start}-model", model)
tokenizer.push_to_hub(f"me/{start}-model")
answers["with tokenizer"] = found(f"me/{start}-model", model)

tokenizer.push_to_hub(f"me/{start}-tokenizer-first")
model.push_to_hub(f"me/{start}-tokenizer-first", max_shard_size="20KB")
answers["shards"] = found(f"me/{start}-tokenizer-first", model)

model.save_pretrained(str(room / "saved"), push_to_hub=True, repo_id=f"me/{start}-saved")
answers["save_pretrained"] = found(f"me/{start}-saved", model)
with torch.no_grad():
    model.classifier.bias.add_(0.25)
model.save_pretrained(room / "saved", push_to_hub=True, repo_id=f"me/{start}-saved", max_shard_size="20KB")
answers["folder"] = sorted(file.name for file in (room / "saved").iterdir())

arguments = TrainingArguments(
    output_dir=str(room / "trainer"), hub_model_id=f"me/{start}-trainer", report_to=[], disable_tqdm=True, use_cpu=True
)
Trainer(model=model, args=arguments, processing_class=tokenizer).push_to_hub()
answers["Trainer"] = found(f"me/{start}-trainer", model)
answers["start"] = start
answers["loaded"] = [name for name in sys.modules if name.partition(".")[0] == "fwsvd_export"]
print(json.dumps(answers))
'''


@pytest.fixture(scope="module", params=[True, False], ids=["without the package", "from memory"])
def answers(
    request: pytest.FixtureRequest,
    checkpoint: Path,
    tiny_folder: Path,
    hub_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What arrived on the Hub, way by way, and whether it loads and answers as the model that was pushed."""
    pytest.importorskip("accelerate")
    room = tmp_path_factory.mktemp("pushed")
    environment = {**hub_environment, "HF_HOME": str(room / "home"), "HF_MODULES_CACHE": str(room / "modules")}
    environment["PYTHONPATH"] = "" if request.param else PATHS
    base = checkpoint if request.param else tiny_folder
    command = [sys.executable, "-c", PUSHER, json.dumps(request.param), str(base), str(room)]
    done = subprocess.run(command, cwd=room, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (found["loaded"] == []) == request.param
    return {**found, "room": str(room)}


@pytest.mark.parametrize("way", ["push_to_hub", "with tokenizer", "save_pretrained", "Trainer"])
def test_code_and_record_arrive_with_the_weights_and_load(way: str, answers: dict[str, Any]) -> None:
    found = answers[way]
    assert set(found["files"]) >= CODE
    assert ("tokenizer.json" in found["files"]) == (way in ("with tokenizer", "Trainer"))
    assert found["same"]
    assert found["actions"] == ["compress", "save"], "once, however often the folder was completed"
    assert found["recorded"] == ["model.safetensors"]


def test_several_weight_files_arrive_with_a_record_of_each(answers: dict[str, Any]) -> None:
    found = answers["shards"]
    assert set(found["files"]) >= {*CODE, "model.safetensors.index.json", "tokenizer.json"} - {"model.safetensors"}
    assert found["same"]
    assert len(found["recorded"]) > 1
    assert set(found["recorded"]) <= set(found["files"])


def test_the_folder_that_was_pushed_keeps_no_weights_of_the_save_before(answers: dict[str, Any]) -> None:
    assert "model.safetensors" not in answers["folder"]
    assert {"model.safetensors.index.json", "model-00001-of-00002.safetensors"} <= set(answers["folder"])


def test_our_own_push_takes_over_what_transformers_pushed(
    answers: dict[str, Any], hub_environment: dict[str, str]
) -> None:
    folder, repository = Path(answers["room"]) / "trainer", f"me/{answers['start']}-trainer"
    write_card(folder, read_compression(folder))
    command = [sys.executable, "-m", "fwsvd_export", "push", str(folder), repository, "--json"]
    environment = {**hub_environment, "PYTHONPATH": PATHS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pushed = json.loads(done.stdout)
    assert pushed["new_commit"]
    assert "README.md" in pushed["changed"]
    assert (pushed["not_sent"], pushed["kept"]) == (["training_args.bin"], ["training_args.bin"])
