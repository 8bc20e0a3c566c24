"""An exported folder under OpenVINO: the answers of the torch model, and what cannot be run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export.errors import ExportError
from fwsvd_export.export.openvino_model import OpenvinoModel, check_precision
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER


class Processor:
    """What OpenVINO says of a processor."""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = capabilities

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return [*self.capabilities]


def test_it_answers_as_the_model(
    place: Path, small_model: Any, head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    exported = OpenvinoModel(place / ONNX_FOLDER, ONNX_FILE, threads=1)
    inputs = head_inputs("BertForSequenceClassification")
    with torch.inference_mode():
        expected = small_model(**inputs).logits
    first = exported(**inputs).logits
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-4)
    other = {name: values[:1, :3] for name, values in inputs.items()}
    with torch.inference_mode():
        torch.testing.assert_close(exported(**other).logits, small_model(**other).logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-4)  # a later run does not write into it


def test_a_damaged_file_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((place / ONNX_FOLDER / "config.json").read_bytes())
    (tmp_path / ONNX_FILE).write_bytes((place / ONNX_FOLDER / ONNX_FILE).read_bytes()[:2000])
    with pytest.raises(ExportError, match=r"OpenVINO cannot read .*model.onnx \(.*\); export again with fwsvd-export"):
        OpenvinoModel(tmp_path, ONNX_FILE)


def test_bfloat16_is_refused_where_it_would_be_float32() -> None:
    check_precision(Processor("FP32", "INT8"), "f32")
    check_precision(Processor("FP32", "BF16"), "bf16")
    with pytest.raises(ExportError, match=r"computes in FP32, INT8 and not in bfloat16 .*; use --runtime openvino$"):
        check_precision(Processor("FP32", "INT8"), "bf16")
