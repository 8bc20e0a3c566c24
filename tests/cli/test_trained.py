"""A compressed model that was trained by somebody without this package, and saved in every way there is, stays ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import fwsvd_export as fe
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.storage.digest import combined_sha256, file_sha256

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

SPEED = ["--runtime", "torch", "--threads", 1, "--rounds", 1, "--batch-sizes", 1, "--lengths", 4]
SVD = ["--method", "svd", "--rank", 5]
OTHER = "saved again with save_pretrained, with other weights"
# A learner without this package: order.json has the folder of the compressed model, and where to write
LEARNER = '''
import json, shutil, sys
from pathlib import Path

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

base, room = sys.argv[1], Path(sys.argv[2])
trust = {"trust_remote_code": True}
tokenizer = AutoTokenizer.from_pretrained(base, **trust)
rows = [{**tokenizer("the film is great"), "labels": 0}, {**tokenizer("a very dull plot"), "labels": 1}] * 4

def load(folder=base):
    return AutoModelForSequenceClassification.from_pretrained(folder, **trust)

def change(model):
    with torch.no_grad():
        model.classifier.bias.add_(0.25)

def train(name, **options):
    arguments = TrainingArguments(
        output_dir=str(room / f"{name}-work"), max_steps=2, save_steps=1, report_to=[], disable_tqdm=True,
        logging_strategy="no", use_cpu=True, per_device_train_batch_size=1, learning_rate=1e-2,
    )
    trainer = Trainer(model=load(), args=arguments, train_dataset=Dataset.from_list(rows), **options)
    trainer.train()
    trainer.save_model(str(room / name))

train("trainer")
train("with tokenizer", processing_class=tokenizer)
shutil.copytree(room / "with tokenizer-work" / "checkpoint-2", room / "checkpoint-2")

model = load()
change(model)
model.save_pretrained(room / "new folder")
model.save_pretrained(room / "shards", max_shard_size="20KB")
for name in ("same folder", "one then shards", "shards then one"):
    shutil.copytree(base, room / name)
    model = load(room / name)
    if name == "shards then one":
        model.save_pretrained(room / name, max_shard_size="20KB")
        model = load(room / name)
    change(model)
    model.save_pretrained(room / name, **({"max_shard_size": "20KB"} if name == "one then shards" else {}))
load().half().save_pretrained(room / "half")
print([name for name in sys.modules if name.partition(".")[0] == "fwsvd_export"])
'''
WAYS = [
    "trainer", "with tokenizer", "checkpoint-2", "new folder", "shards", "same folder", "one then shards",
    "shards then one", "half",
]  # fmt: skip
IN_SEVERAL = {"shards", "one then shards"}
WITH_TOKENIZER = {"with tokenizer", "checkpoint-2", "same folder", "one then shards", "shards then one"}
LEFT_BY_TRAINER = {
    "trainer": {"training_args.bin"},
    "with tokenizer": {"training_args.bin"},
    "checkpoint-2": {"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"},
}


@pytest.fixture(scope="module")
def room(run: Run, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the learner saved, folder by folder, and the compressed model that it began with in ``small``."""
    pytest.importorskip("accelerate")
    room = tmp_path_factory.mktemp("trained")
    assert run("compress", tiny_folder, room / "small", *SVD).exit_code == 0
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HF_HOME": str(room / "home"),
        "HF_MODULES_CACHE": str(room / "modules"),
    }
    command = [sys.executable, "-c", LEARNER, str(room / "small"), str(room)]
    done = subprocess.run(command, cwd=room, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    return room


@pytest.fixture(autouse=True)
def without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a folder loads in a process of its own is tested in tests/hub, and here by the learner."""
    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", lambda *arguments: ())


@pytest.fixture
def small(room: Path, tmp_path: Path) -> Path:
    """A copy of the compressed model."""
    return Path(shutil.copytree(room / "small", tmp_path / "small"))


def trained(room: Path, way: str, tmp_path: Path) -> Path:
    """A copy of what was saved in one way."""
    return Path(shutil.copytree(room / way, tmp_path / "trained"))


@pytest.mark.parametrize("way", WAYS)
def test_what_was_trained_and_saved_is_carded_and_pushed(
    way: str, room: Path, tmp_path: Path, succeed: Succeed
) -> None:
    folder = trained(room, way, tmp_path)
    record, before = read_compression(folder), read_compression(room / "small")
    assert record.describes(folder)
    assert record.layers == before.layers
    assert [entry.action for entry in record.history[:2]] == ["compress", "save"]
    assert len(list(folder.glob("*.safetensors"))) == (2 if way in IN_SEVERAL else 1), "no weights of an earlier save"
    since = json.loads(succeed("inspect", folder, "--json"))["since"]
    if way in IN_SEVERAL:
        assert since == ["saved again with save_pretrained (files 2)"]
    else:
        assert since[-1].startswith("saved again with save_pretrained" if way == "shards then one" else OTHER)
    succeed("card", folder)
    card = (folder / "README.md").read_text()
    assert "Since then: saved again with save\\_pretrained" in card
    assert "tokenizer are its base's" not in card
    assert ("AutoTokenizer" in card) == (way in WITH_TOKENIZER)
    found = json.loads(succeed("push", folder, "me/small", "--dry-run", "--json"))
    assert found["findings"] == []
    assert set(found["not_sent"]) == LEFT_BY_TRAINER.get(way, set())
    sent = {row["path"] for row in found["files"]}
    assert not sent & set(found["not_sent"])
    assert {"compression.json", "lowrank_layers.py", "README.md", "config.json"} <= sent
    assert load_checkpoint(str(folder)).compressed


@pytest.mark.parametrize("way", ["trainer", "one then shards"])
def test_every_other_command_takes_what_was_trained(
    way: str, room: Path, tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    folder = trained(room, way, tmp_path)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    data = ["--task", "sst2", "--data", data_file]
    values = []
    for model in (tiny_folder, folder):
        printed = succeed("evaluate", model, *data, "--json")
        (tmp_path / f"{model.name}.json").write_text(printed)
        values.append(json.loads(printed))
    weights = {file.name: file_sha256(file) for file in folder.glob("*.safetensors")}
    assert values[1]["sha256"] == combined_sha256(weights)
    assert json.loads(succeed("onnx", folder, "--json"))["check"]["within"]
    again = json.loads(succeed("evaluate", folder, *data, "--runtime", "onnxruntime", "--json"))
    assert again["value"] == values[1]["value"]
    succeed("bench", tiny_folder, folder, *SPEED, "-o", tmp_path / "bench")
    results = [tmp_path / "tiny-classifier.json", tmp_path / "trained.json", tmp_path / "bench" / "results.json"]
    succeed("card", folder, *(word for file in results for word in ("--results", file)))
    card = (folder / "README.md").read_text()
    assert f"| {values[0]['value']:.4f} | {values[1]['value']:.4f} |" in card
    assert "Latency on" in card
    assert json.loads(succeed("push", folder, "me/small", "--dry-run", "--json"))["findings"] == []
    succeed("densify", folder, tmp_path / "plain")
    ids = torch.arange(5, 15).reshape(2, 5)
    with torch.no_grad():
        answers = [load_checkpoint(str(at)).model(input_ids=ids).logits for at in (folder, tmp_path / "plain")]
    torch.testing.assert_close(*answers, rtol=0, atol=1e-5)
    assert json.loads(succeed("push", tmp_path / "plain", "me/plain", "--dry-run", "--json"))["findings"] == []


@pytest.mark.parametrize("changed", [False, True])
def test_what_was_compressed_in_memory_is_carded_and_pushed(
    changed: bool, tiny_model: Any, tmp_path: Path, succeed: Succeed, run: Run
) -> None:
    small = fe.compress(tiny_model, method="svd", rank=5)
    if changed:
        with torch.no_grad():
            small.classifier.bias.add_(0.25)
    small.save_pretrained(tmp_path / "small")
    result = run("push", tmp_path / "small", "me/small", "--dry-run")
    assert "README.md: is missing; write it with fwsvd-export card" in result.stdout
    said = run("card", tmp_path / "small").stderr
    assert "Not in the card: a tokenizer; save it into the same folder" in said
    card = (tmp_path / "small" / "README.md").read_text()
    assert "| base weights (SHA-256) | not recorded, it was a model in memory |" in card
    assert (f"Since then: {OTHER.replace('_', chr(92) + '_')}." in card) == changed
    assert json.loads(succeed("push", tmp_path / "small", "me/small", "--dry-run", "--json"))["findings"] == []


def test_a_card_of_the_weights_before_is_not_pushed(small: Path, run: Run, succeed: Succeed) -> None:
    model = fe.load(small)
    with torch.no_grad():
        model.classifier.bias.add_(0.25)
    model.save_pretrained(small)
    result = run("push", small, "me/small", "--dry-run")
    assert result.exit_code == 1
    finding = "README.md: is about other weights than this folder's; write it anew with fwsvd-export card"
    assert result.stdout.splitlines()[-1] == f"  {finding}"
    succeed("card", small)
    assert "Nothing is wrong" in run("push", small, "me/small", "--dry-run").stderr


def test_weights_that_were_edited_by_hand_are_accepted_by_their_owner(small: Path, run: Run, succeed: Succeed) -> None:
    weights = load_file(small / "model.safetensors")
    weights["classifier.bias"] += 0.5
    save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
    advice = "if the weights are yours, enter them with fwsvd-export card --accept-weights"
    assert f"compression.json does not describe these weights; {advice}" in run("card", small).stderr
    result = run("push", small, "me/small", "--dry-run")
    assert result.exit_code == 1
    assert f"model.safetensors: does not hold the weights that compression.json describes; {advice}" in result.stdout
    before = read_compression(small)
    succeed("card", small, "--accept-weights")
    after = read_compression(small)
    assert after.describes(small)
    assert after.history == (*before.history, after.history[-1])
    assert (after.history[-1].action, after.history[-1].sha256) == ("accept", file_sha256(small / "model.safetensors"))
    assert "Since then: accepted with weights that its record did not know." in (small / "README.md").read_text()
    assert json.loads(succeed("push", small, "me/small", "--dry-run", "--json"))["findings"] == []
    succeed("card", small, "--accept-weights")
    assert read_compression(small) == after, "nothing is left to accept"


def test_densify_says_that_the_weights_were_not_those_of_the_record(
    small: Path, tmp_path: Path, succeed: Succeed
) -> None:
    weights = load_file(small / "model.safetensors")
    weights["classifier.bias"] += 0.5
    save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
    succeed("densify", small, tmp_path / "plain")
    assert read_compression(tmp_path / "plain").since == (
        "accepted with weights that its record did not know",
        "multiplied out into a plain model",
    )


def test_a_record_that_was_lost_is_taken_from_the_folder_before(
    room: Path, tmp_path: Path, run: Run, refused: Refused, succeed: Succeed
) -> None:
    folder = trained(room, "new folder", tmp_path)
    (folder / "compression.json").unlink()
    sentence = refused("card", folder)
    assert sentence.endswith("copy the one of the folder that the model was loaded from into it")
    result = run("push", folder, "me/small", "--dry-run")
    assert result.exit_code == 1
    advice = "copy it from the folder that the model was loaded from, and if the weights are yours, enter them with"
    assert f"compression.json: is missing; {advice} fwsvd-export card --accept-weights" in result.stdout
    shutil.copyfile(room / "small" / "compression.json", folder / "compression.json")
    succeed("card", folder, "--accept-weights")
    assert json.loads(succeed("push", folder, "me/small", "--dry-run", "--json"))["findings"] == []


def test_code_that_was_lost_comes_back_with_the_next_save(small: Path, run: Run, succeed: Succeed) -> None:
    digest = file_sha256(small / "model.safetensors")
    for file in small.glob("*.py"):
        file.unlink()
    result = run("push", small, "me/small", "--dry-run")
    advice = "load the folder with fwsvd_export.load and save the model into it again with save_pretrained"
    for name in ("lowrank_layers.py", "configuration_lowrank_bert.py", "modeling_lowrank_bert.py"):
        assert f"{name}: is missing; {advice}" in result.stdout
    fe.load(small).save_pretrained(small)
    assert file_sha256(small / "model.safetensors") == digest
    assert json.loads(succeed("push", small, "me/small", "--dry-run", "--json"))["findings"] == []


def test_code_of_another_version_is_replaced_and_the_training_stays(small: Path, run: Run, succeed: Succeed) -> None:
    code = small / "lowrank_layers.py"
    code.write_bytes(code.read_bytes() + b"# an earlier version\n")
    result = run("push", small, "me/small", "--dry-run")
    assert "if it is another version's, take the .py files out, then load the folder with" in result.stdout
    for file in small.glob("*.py"):
        file.unlink()
    fe.load(small).save_pretrained(small)
    assert json.loads(succeed("push", small, "me/small", "--dry-run", "--json"))["findings"] == []


@pytest.mark.parametrize("way", ["trainer", "new folder"])
def test_the_advice_for_what_is_compressed_keeps_the_training(
    way: str, room: Path, tmp_path: Path, refused: Refused, succeed: Succeed
) -> None:
    folder = trained(room, way, tmp_path)
    sentence = refused("compress", folder, tmp_path / "smaller", *SVD)
    assert sentence.endswith("or, to keep what it learned since, compress what fwsvd-export densify makes of it")
    succeed("densify", folder, tmp_path / "plain")
    succeed("compress", tmp_path / "plain", tmp_path / "smaller", "--method", "svd", "--rank", 3)
    weights = load_file(tmp_path / "smaller" / "model.safetensors")["classifier.bias"]
    assert torch.equal(weights, load_checkpoint(str(folder)).model.classifier.bias.detach())


def test_another_head_is_counted_and_told(tiny_model: Any, tmp_path: Path, succeed: Succeed) -> None:
    from fwsvd_export.modeling.modeling_lowrank_bert import LowRankBertForTokenClassification

    fe.compress(tiny_model, method="svd", rank=5).save_pretrained(tmp_path / "small")
    before = read_compression(tmp_path / "small").parameters.total_compressed
    other = LowRankBertForTokenClassification.from_pretrained(
        tmp_path / "small", num_labels=7, ignore_mismatched_sizes=True
    )
    other.save_pretrained(tmp_path / "other")
    now = sum(parameter.numel() for parameter in other.parameters())
    succeed("card", tmp_path / "other")
    card = (tmp_path / "other" / "README.md").read_text()
    assert f": {now:,} parameters instead of" in card
    assert f"its head or its vocabulary was changed, it has {now:,} parameters now and had {before:,} before" in card
    assert "AutoModelForTokenClassification" in card
