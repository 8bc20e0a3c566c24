"""The whole way of a classifier of every family: statistics, compression, measurement, export, card, push, densify."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.storage.digest import file_sha256

Succeed = Callable[..., str]

SPEED = ["--threads", 1, "--rounds", 1, "--batch-sizes", 2, "--lengths", 6]
TEXTS = ["the film is great", "a very dull plot and a poor cast"]


def test_a_classifier_goes_from_statistics_to_a_verified_folder_and_back(
    family_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data, small = ["--task", "sst2", "--data", data_file], tmp_path / "small"
    statistics = tmp_path / "fisher.safetensors"
    collected = json.loads(succeed("fisher", family_folder, "-o", statistics, *data, "--json"))
    adapter = load_checkpoint(str(family_folder)).encoder
    assert (collected["layers"], collected["examples"]) == (len(adapter.layers), 48)

    words = ["--fisher", statistics, "--ratio", 0.4, "--embeddings", 0.6, "--json"]
    record = json.loads(succeed("compress", family_folder, small, *words))
    assert (record["method"], record["allocate"]) == ("kfac", "greedy")
    assert record["reconstruction"]["sequences"] == 48
    assert 0 < record["parameters"]["ratio"] <= 0.4
    settings = json.loads((small / "config.json").read_text())
    family = LOW_RANK_FAMILIES[settings["model_type"]]
    assert family.model_type == json.loads((family_folder / "config.json").read_text())["model_type"]
    assert bool(settings["low_rank"].get("widths")) is bool(adapter.feed_forwards), "neurons are gone"
    assert {file.name for file in small.glob("*.py")} == set(family.code_files)
    for name in family.code_files:
        assert (small / name).read_bytes() == family.shipped(name).read_bytes()

    exported = json.loads(succeed("onnx", small, "--int8", *data, "--json"))
    assert exported["check"]["within"]
    assert exported["int8"]["metric"] == "accuracy"
    values = {}
    for runtime in ("torch", "onnxruntime", "onnxruntime-int8"):
        measured = json.loads(succeed("evaluate", small, *data, "--runtime", runtime, "--json"))
        values[runtime] = measured["value"]
    assert values["onnxruntime"] == values["torch"] == exported["int8"]["float_value"]
    assert values["onnxruntime-int8"] == exported["int8"]["value"]
    assert_onnx_answers(small, adapter.inputs)

    succeed("bench", family_folder, small, *data, *SPEED, "-o", tmp_path / "bench")
    dense, compressed = json.loads((tmp_path / "bench" / "results.json").read_text())["models"]
    assert dense["parameters"] == record["parameters"]["total_dense"]
    assert compressed["parameters"] == record["parameters"]["total_compressed"] < dense["parameters"]
    assert compressed["value"] == values["torch"]
    assert all(timing["flops_ratio"] > 1 for timing in compressed["latency"])

    succeed("card", small, "--results", tmp_path / "bench" / "results.json")
    card = (small / "README.md").read_text()
    check_card(card)
    assert f"{dense['value']:.4f} | {compressed['value']:.4f} |" in card
    # Loads the folder in a process of its own, which has no fwsvd-export
    pushed = json.loads(succeed("push", small, "me/small", "--dry-run", "--json"))
    assert pushed["findings"] == []
    assert {row["path"] for row in pushed["files"]} >= {*family.code_files, "onnx/model_quantized.onnx", "README.md"}

    plain = tmp_path / "plain"
    succeed("densify", small, plain)
    assert not list(plain.glob("*.py"))
    assert json.loads((plain / "compression.json").read_text())["history"][-1] == {
        "action": "densify",
        "sha256": file_sha256(plain / "model.safetensors"),
        "details": {},
    }
    model = AutoModelForSequenceClassification.from_pretrained(plain).eval()
    assert type(model).__name__ == f"{family.prefix}ForSequenceClassification"
    assert sum(tensor.numel() for tensor in model.parameters()) == record["parameters"]["total_dense"]
    ids = torch.arange(5, 15).reshape(2, 5)
    with torch.no_grad():
        expected = load_checkpoint(str(small)).model(input_ids=ids).logits
        torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=0, atol=1e-5)


def assert_onnx_answers(folder: Path, inputs: tuple[str, ...]) -> None:
    """The ONNX file takes the family's inputs, in order, and answers as the checkpoint does."""
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    assert tuple(node.name for node in session.get_inputs()) == inputs
    batch = AutoTokenizer.from_pretrained(folder / "onnx")(TEXTS, padding=True, return_tensors="np")
    given = {name: np.asarray(batch[name], dtype=np.int64) for name in inputs}
    with torch.no_grad():
        expected = load_checkpoint(str(folder)).model(
            **{name: torch.from_numpy(array) for name, array in given.items()}
        )
    found = torch.from_numpy(session.run(["logits"], given)[0])
    torch.testing.assert_close(found, expected.logits, rtol=0, atol=1e-4)
