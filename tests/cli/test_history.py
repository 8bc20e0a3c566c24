"""A folder that was changed after compression is still ours when its record says so, and the card says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from click.testing import Result
from safetensors.torch import load_file, save_file

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.storage.digest import file_sha256

Run = Callable[..., Result]
Succeed = Callable[..., str]
SAVED = "Since then: saved again with save\\_pretrained, with other weights."


def change_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def save_again(folder: Path) -> None:
    """As after training: other weights, saved by the code that ships with the checkpoint."""
    model = load_checkpoint(str(folder)).model
    with torch.no_grad():
        model.classifier.bias += 0.5
    model.save_pretrained(folder)


@pytest.fixture
def folder(compressed_folder: Path, tmp_path: Path) -> Path:
    """A copy of the compressed model."""
    return Path(shutil.copytree(compressed_folder, tmp_path / "small"))


@pytest.fixture
def without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a compressed model loads in a process of its own is tested in tests/hub."""
    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", lambda *arguments: ())


def accepted(model: Path, data_file: Path, succeed: Succeed) -> str:
    """Evaluates, exports, describes and verifies a folder; the card."""
    data = ["--task", "sst2", "--data", data_file]
    before = json.loads((model / "compression.json").read_text())
    found = json.loads(succeed("evaluate", model, *data, "--json"))
    assert found["sha256"] == file_sha256(model / "model.safetensors")
    succeed("onnx", model)
    assert (
        json.loads(succeed("evaluate", model, *data, "--runtime", "onnxruntime", "--json"))["value"] == found["value"]
    )
    (model.parent / "measured.json").write_text(json.dumps(found))
    succeed("card", model, "--results", model.parent / "measured.json")
    assert json.loads(succeed("push", model, "me/small", "--dry-run", "--json"))["findings"] == []
    assert json.loads((model / "compression.json").read_text()) == before
    card = (model / "README.md").read_text()
    check_card(card)
    assert f"{found['value']:.4f} |" in card
    return card


@pytest.mark.usefixtures("without_loading")
@pytest.mark.parametrize("older", [False, True], ids=["with history", "older record without"])
def test_a_folder_that_was_saved_again_is_still_ours(
    older: bool, folder: Path, data_file: Path, succeed: Succeed
) -> None:
    if older:
        record = json.loads((folder / "compression.json").read_text())
        del record["history"]
        (folder / "compression.json").write_text(json.dumps(record))
    save_again(folder)
    assert SAVED in accepted(folder, data_file, succeed)
    assert "saved again with save_pretrained, with other weights" in succeed("inspect", folder)
    assert json.loads(succeed("inspect", folder, "--json"))["since"] == [
        "saved again with save_pretrained, with other weights"
    ]


@pytest.mark.usefixtures("without_loading")
def test_a_change_that_the_record_does_not_know_is_reported_and_not_pushed(
    folder: Path, run: Run, succeed: Succeed
) -> None:
    assert "Since then" not in (folder / "README.md").read_text()
    change_weights(folder)
    succeed("card", folder)
    assert "Since then: the weights were changed by something that left no word" in (folder / "README.md").read_text()
    result = run("push", folder, "me/small", "--dry-run")
    assert result.exit_code == 1
    assert "model.safetensors: does not hold the weights that compression.json describes" in result.stdout


def test_what_was_multiplied_out_is_a_plain_model_of_ours(
    compressed_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    plain = tmp_path / "plain"
    succeed("densify", compressed_folder, plain)
    written = {path.name for path in plain.iterdir()}
    assert {"compression.json", "README.md", "config.json", "model.safetensors", "tokenizer.json"} <= written
    assert not [name for name in written if name.endswith(".py")]
    record, base = (json.loads((at / "compression.json").read_text()) for at in (plain, compressed_folder))
    digest = file_sha256(plain / "model.safetensors")
    assert record["history"] == [*base["history"], {"action": "densify", "sha256": digest, "details": {}}]
    assert record["files"]["model.safetensors"]["sha256"] == digest
    assert {name: record[name] for name in base if name not in ("files", "history")} == {
        name: base[name] for name in base if name not in ("files", "history")
    }
    card = accepted(plain, data_file, succeed)  # loads it in a process of its own, without trust in any code
    assert "Since then: multiplied out into a plain model." in card
    assert "trust_remote_code" not in card
    assert "AutoModelForSequenceClassification.from_pretrained(" in card
    assert f"with {base['parameters']['total_dense']:,} parameters, as many as its base" in card
    found = json.loads(succeed("inspect", plain, "--json"))
    assert (found["class"], found["compressed"], found["since"]) == (
        "BertForSequenceClassification",
        False,
        ["multiplied out into a plain model"],
    )
    assert type(transformers.AutoModelForSequenceClassification.from_pretrained(plain)).__name__ == found["class"]


def test_code_in_a_plain_model_is_not_pushed(
    compressed_folder: Path, tmp_path: Path, run: Run, succeed: Succeed
) -> None:
    plain, name = tmp_path / "plain", "modeling_lowrank_bert.py"
    succeed("densify", compressed_folder, plain)
    shutil.copyfile(compressed_folder / name, plain / name)
    settings = json.loads((plain / "config.json").read_text())
    settings["auto_map"] = {"AutoModel": "modeling_lowrank_bert.LowRankBertModel"}
    (plain / "config.json").write_text(json.dumps(settings))
    result = run("push", plain, "me/small", "--dry-run")
    assert result.exit_code == 1
    assert f"{name}: is no part of a checkpoint" in result.stdout
    assert "config.json: names code that is not in this folder" in result.stdout


def test_a_dense_model_without_a_record_stays_no_model_of_ours(tiny_folder: Path, run: Run) -> None:
    result = run("push", tiny_folder, "me/small", "--dry-run")
    assert result.exit_code == 1
    assert "holds no compressed checkpoint (model_type 'bert')" in result.stderr


def test_a_model_without_a_record_is_multiplied_out_without_one(folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    (folder / "compression.json").unlink()
    succeed("densify", folder, tmp_path / "plain")
    assert not (tmp_path / "plain" / "compression.json").exists()
