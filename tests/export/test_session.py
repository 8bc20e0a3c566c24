"""An ONNX model in a session answers as the model it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import plain_settings
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER

IDENTITY = Identity("small", "LowRankBertForSequenceClassification", "a" * 64, "b" * 64, "{}")


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
