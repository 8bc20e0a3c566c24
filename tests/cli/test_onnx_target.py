"""onnx --int8 on data: the metric of the int8 model, and the layers that stay in float for an accuracy target."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from transformers import AutoTokenizer, BertForSequenceClassification

from fwsvd_export.wording import grouped

Run = Callable[..., Result]
Succeed = Callable[..., str]


@pytest.fixture(scope="module")
def close_calls(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, make_many: Callable[[int], list[str]]
) -> Path:
    """The texts that the dense model can hardly decide, with its own answers as labels: small changes flip them."""
    model = BertForSequenceClassification.from_pretrained(tiny_folder).eval()
    texts = make_many(2_000)
    with torch.no_grad():
        batch = AutoTokenizer.from_pretrained(tiny_folder)(texts, padding=True, return_tensors="pt")
        logits = model(**batch).logits
    nearest = (logits[:, 0] - logits[:, 1]).abs().argsort()[:100].tolist()
    answers = logits.argmax(dim=-1).tolist()
    file = tmp_path_factory.mktemp("close") / "close.jsonl"
    file.write_text(
        "".join(json.dumps({"sentence": texts[index], "label": answers[index]}) + "\n" for index in nearest)
    )
    return file


@pytest.fixture(scope="module")
def make_many() -> Callable[[int], list[str]]:
    """A function that makes different texts of the small vocabulary."""
    words = ["film", "movie", "good", "great", "bad", "poor", "dull", "is", "was", "very", "not", "never"]

    def make(count: int) -> list[str]:
        generator = np.random.default_rng(0)
        return [" ".join(generator.choice(words, size=generator.integers(2, 12))) for _ in range(count)]

    return make


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "onnx" / "export.json").read_text())
    return record


def test_int8_is_measured_on_data_and_evaluate_finds_the_same(
    tiny_folder: Path, close_calls: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data = ["--task", "sst2", "--data", close_calls]
    said = succeed("onnx", tiny_folder, "-o", tmp_path, "--int8", *data)
    int8 = record_of(tmp_path)["int8"]
    assert (int8["task"], int8["data"], int8["examples"], int8["metric"]) == ("sst2", "close.jsonl", 100, "accuracy")
    assert (int8["max_drop"], int8["kept"], int8["kept_float"], int8["trials"]) == (None, None, [], [])
    assert int8["float_value"] == 1.0
    assert int8["value"] < 1.0
    assert int8["drop"] == 1.0 - int8["value"]
    assert int8["low"] < -int8["drop"] < int8["high"] < 0
    assert int8["confidence"] == 0.95
    assert f"{int8['value']:.4f}" in said
    assert f"{-int8['drop']:+.4f} [{int8['low']:+.4f}, {int8['high']:+.4f}]" in said
    assert "difference, 95 %" in said
    measured = {}
    for runtime in ("torch", "onnxruntime", "onnxruntime-int8"):
        words = ["--runtime", runtime, *([] if runtime == "torch" else ["--onnx", tmp_path])]
        answer = json.loads(succeed("evaluate", tiny_folder, *data, *words, "--json"))
        assert (answer["runtime"], answer["metric"], answer["examples"]) == (runtime, "accuracy", 100)
        measured[runtime] = answer["value"]
    assert measured == {"torch": 1.0, "onnxruntime": 1.0, "onnxruntime-int8": int8["value"]}


def test_layers_stay_in_float_until_the_accuracy_target_is_met(
    tiny_folder: Path, close_calls: Path, tmp_path: Path, succeed: Succeed, run: Run
) -> None:
    data = ["--task", "sst2", "--data", close_calls]
    succeed("onnx", tiny_folder, "-o", tmp_path / "whole", "--int8", *data)
    whole = record_of(tmp_path / "whole")
    max_drop = -whole["int8"]["low"] / 2
    result = run("onnx", tiny_folder, "-o", tmp_path / "mixed", "--int8", *data, "--max-drop", max_drop)
    assert result.exit_code == 0, result.output
    record = record_of(tmp_path / "mixed")
    mixed = record["int8"]
    assert (mixed["kept"], mixed["max_drop"]) == (True, max_drop)
    assert mixed["drop"] <= -mixed["low"] <= max_drop < -whole["int8"]["low"]
    assert all(trial["kept"] == (trial["low"] >= -max_drop) for trial in mixed["trials"])
    assert 0 < len(mixed["kept_float"]) < len(mixed["sensitivities"]) == 13
    assert all(change > 0 for change in mixed["sensitivities"].values())
    assert "embeddings" in mixed["sensitivities"]
    chosen = [trial for trial in mixed["trials"] if trial["kept_float"] == len(mixed["kept_float"])]
    ends = {name: mixed[name] for name in ("value", "low", "high")}
    assert chosen == [{"kept_float": len(mixed["kept_float"]), "kept": True, **ends}]
    shown = re.search(r"layers left in float\s+│\s+(\d+)", result.stdout)
    assert shown is not None
    assert int(shown[1]) == len(mixed["kept_float"])
    assert f"Left in float: {', '.join(grouped(mixed['kept_float']))}" in result.stderr
    sizes = [entry["files"]["model_quantized.onnx"]["bytes"] for entry in (whole, record)]
    assert sizes[0] < sizes[1] < record["files"]["model.onnx"]["bytes"]
    assert {file.name for file in (tmp_path / "mixed" / "onnx").glob("*.onnx")} == record["files"].keys()
    words = ["--runtime", "onnxruntime-int8", "--onnx", tmp_path / "mixed", "--json"]
    assert json.loads(succeed("evaluate", tiny_folder, *data, *words))["value"] == mixed["value"]


def test_an_accuracy_target_that_the_whole_int8_model_meets_leaves_nothing_in_float(
    tiny_folder: Path, close_calls: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data = ["--task", "sst2", "--data", close_calls]
    succeed("onnx", tiny_folder, "-o", tmp_path, "--int8", *data, "--max-drop", 1)
    int8 = record_of(tmp_path)["int8"]
    assert (int8["kept"], int8["kept_float"], int8["trials"], int8["sensitivities"]) == (True, [], [], None)


def test_an_accuracy_target_that_no_mixture_meets_ends_with_three(
    tiny_folder: Path, close_calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr("fwsvd_export.evaluation.int8.units_of", lambda graph: {"classifier": []})  # nothing to mix
    words = ["--int8", "--task", "sst2", "--data", close_calls, "--max-drop", 0]
    result = run("onnx", tiny_folder, "-o", tmp_path, *words)
    assert result.exit_code == 3, result.output
    assert "The accuracy target is missed: with any layer in int8 accuracy drops by more than 0.\n" in result.stderr
    int8 = record_of(tmp_path)["int8"]
    assert (int8["kept"], int8["kept_float"]) == (False, [])
    assert (tmp_path / "onnx" / "model_quantized.onnx").is_file()


def test_an_accuracy_target_that_is_missed_for_want_of_examples_says_how_many_would_do(
    tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    words = ["--int8", "--task", "sst2", "--data", data_file, "--max-drop", 0.06, "--confidence", 0.99]
    result = run("onnx", tiny_folder, "-o", tmp_path, *words)
    assert result.exit_code == 3, result.output
    int8 = record_of(tmp_path)["int8"]
    assert (int8["kept"], int8["confidence"]) == (False, 0.99)
    best = int8["trials"][0]
    assert best["low"] < -0.06 <= best["value"] - int8["float_value"]
    assert f"99 % confidence all that 48 examples show is a change of no less than {best['low']:+.4f}" in result.stderr
    assert "examples like these would be enough" in result.stderr
