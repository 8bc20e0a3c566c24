"""An ONNX file as a model: what is in it, and what is said of a damaged one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fwsvd_export.errors import ExportError
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER

FILE = "model.onnx"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder with a configuration and an ONNX file that gives its token ids back."""
    shutil.copyfile(tiny_folder / "config.json", tmp_path / "config.json")
    names = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("input_ids", "the_output")]
    node = helper.make_node("Identity", ["input_ids"], ["the_output"])
    graph = helper.make_graph([node], "graph", names[:1], names[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"the_key": "the_value"})
    onnx.save(model, tmp_path / FILE)
    return tmp_path


def test_what_the_file_says_of_itself_is_read(folder: Path) -> None:
    assert OnnxModel(folder, FILE).metadata == {"the_key": "the_value"}


def test_an_input_that_the_graph_does_not_know_is_refused(folder: Path) -> None:
    with pytest.raises(ExportError, match=r"attention_mask.*export again"):
        OnnxModel(folder, FILE)(torch.tensor([5, 6]))


@pytest.mark.parametrize("text", [b"the_key", b"the_value", b"input_ids", b"the_output"])
def test_texts_that_are_no_unicode_are_damage(text: bytes, folder: Path) -> None:
    content = (folder / FILE).read_bytes()
    assert text in content
    (folder / FILE).write_bytes(content.replace(text, b"\xc4" + text[1:]))
    with pytest.raises(ExportError) as caught:
        OnnxModel(folder, FILE)
    assert str(folder / FILE) in str(caught.value)
    assert "export again" in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_session_answers_as_the_model(
    place: Path, small_model: Any, head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    exported = OnnxModel(place / ONNX_FOLDER, ONNX_FILE, threads=1)
    inputs = head_inputs("BertForSequenceClassification")
    with torch.no_grad():
        torch.testing.assert_close(exported(**inputs).logits, small_model(**inputs).logits, rtol=0, atol=1e-5)
        tokens = inputs["input_ids"][:1, :5]
        expected = small_model(input_ids=tokens).logits
    for given in (tokens, tokens.int()):
        torch.testing.assert_close(exported(given).logits, expected, rtol=0, atol=1e-5)
    assert exported.config.id2label == small_model.config.id2label
    assert exported.device == torch.device("cpu")


def test_an_input_that_the_onnx_model_fails_on(place: Path) -> None:
    with pytest.raises(ExportError, match=r"the ONNX model fails on its input .*; export again with fwsvd-export onnx"):
        OnnxModel(place / ONNX_FOLDER, ONNX_FILE)(torch.tensor([[10**6]]))
