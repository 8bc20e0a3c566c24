"""Code, weights and ONNX files are compared with what was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.helpers import BOUND
from tests.hub.verify.changed_files import edited, found

Change = Callable[..., Path]


def test_an_onnx_model_that_failed_its_check_is_not_sent(checkpoint: Path, changed: Change) -> None:
    path = "onnx/export.json"
    check = {**json.loads((checkpoint / path).read_text())["check"], "within": False}
    problem = "says that the ONNX model is further from torch than --atol allows"
    assert found(changed({path: edited(checkpoint / path, check=check)})) == {path: problem}


@pytest.mark.parametrize("saturation", [None, {**BOUND, "safe": False}])
def test_an_int8_model_that_may_be_wrong_on_some_processors_is_not_sent(
    saturation: dict[str, Any] | None, checkpoint: Path, changed: Change
) -> None:
    path = "onnx/export.json"
    problem = "does not say that the int8 model is right on processors without VNNI instructions"
    int8 = {"max_difference": 0.5, "saturation": saturation}
    assert found(changed({path: edited(checkpoint / path, int8=int8)})) == {path: problem}


def test_an_int8_model_that_no_processor_cuts_off_is_sent(checkpoint: Path, changed: Change) -> None:
    path = "onnx/export.json"
    int8 = {"max_difference": 0.5, "saturation": BOUND}
    assert found(changed({path: edited(checkpoint / path, int8=int8)})) == {}


def test_foreign_code_is_found_and_never_run(changed: Change, checkpoint: Path, loads: list[str]) -> None:
    name = "modeling_lowrank_bert.py"
    folder = changed({name: (checkpoint / name).read_bytes() + b"\nprint('hello')\n"})
    assert found(folder) == {name: "is not the code that this installation writes"}
    assert loads == []


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("config.json", {"AutoConfig": "somebody/code--configuration_lowrank_bert.LowRankBertConfig"}),
        ("config.json", {"AutoConfig": "other.Config"}),
        ("tokenizer_config.json", {"AutoTokenizer": [None, "tokens.Fast"]}),
        ("onnx/config.json", {"AutoConfig": "configuration_lowrank_bert.LowRankBertConfig"}),
    ],
)
def test_configurations_may_name_no_other_code(
    path: str, named: dict[str, Any], checkpoint: Path, changed: Change, loads: list[str]
) -> None:
    before = json.loads((checkpoint / path).read_text()).get("auto_map", {})
    problems = found(changed({path: edited(checkpoint / path, auto_map={**before, **named})}))
    assert problems[path].startswith("names code that is not in this folder, ")
    assert loads == []


def test_weights_that_are_not_those_of_the_record(changed: Change) -> None:
    folder = changed({})
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert found(folder) == {
        "model.safetensors": "does not hold the weights that compression.json describes",
        "onnx/export.json": "was made from other weights than this folder's",
    }
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    assert found(folder) == {
        "model.safetensors": "is missing, compression.json names it",
        "model-00001-of-00001.safetensors": "does not hold the weights that compression.json describes",
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"files": None}, "files is None, an object is needed"),
        ({"files": {}}, "holds no digest of the weights"),
        ({"files": []}, "files is [], an object is needed"),
    ],
)
def test_a_record_without_digests(content: dict[str, Any], problem: str, checkpoint: Path, changed: Change) -> None:
    folder = changed({"compression.json": edited(checkpoint / "compression.json", **content)})
    (found_file, told) = next(iter(found(folder).items()))
    assert found_file == "compression.json"
    assert told.endswith(problem)


def test_a_record_that_is_no_object(changed: Change) -> None:
    assert found(changed({"compression.json": b"[1]"}))["compression.json"].endswith("holds no JSON object")


def test_onnx_files_that_are_not_those_of_the_record(checkpoint: Path, changed: Change) -> None:
    graph = (checkpoint / "onnx" / "model.onnx").read_bytes()
    folder = changed({"onnx/model.onnx": graph + b"\x00", "onnx/other.onnx": graph})
    expected = "is not the file that export.json describes"
    assert found(folder) == {"onnx/model.onnx": expected, "onnx/other.onnx": expected}
    (folder / "onnx" / "model.onnx").unlink()
    (folder / "onnx" / "other.onnx").unlink()
    assert found(folder) == {"onnx/model.onnx": "is missing, export.json names it"}
    (folder / "onnx" / "export.json").unlink()
    problem = "is missing, so nobody knows what the ONNX files were made from"
    assert found(folder) == {"onnx/export.json": problem}
