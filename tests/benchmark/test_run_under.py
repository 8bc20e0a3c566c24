"""Every runtime of an exported folder gives the model's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openvino
import pytest
import torch
from transformers import BertForSequenceClassification

from fwsvd_export import export_onnx
from fwsvd_export.benchmark.run_under import check_runtimes, run_under
from fwsvd_export.benchmark.runtimes import RUNTIME_FILES
from fwsvd_export.errors import ExportError


@pytest.fixture(scope="module")
def exported(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    export_onnx(BertForSequenceClassification.from_pretrained(tiny_folder), out, int8=True)
    return out


@pytest.mark.parametrize("runtime", RUNTIME_FILES)
def test_the_answers_are_those_of_the_model(
    runtime: str, exported: Path, tiny_folder: Path, head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    inputs = head_inputs("BertForSequenceClassification")
    with torch.inference_mode():
        expected = BertForSequenceClassification.from_pretrained(tiny_folder).eval()(**inputs).logits
    if runtime == "openvino-bf16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        for refuse in (lambda: run_under(runtime, exported, threads=1), lambda: check_runtimes([runtime])):
            with pytest.raises(ExportError, match="not in bfloat16"):
                refuse()
        return
    check_runtimes([runtime])
    model = run_under(runtime, exported, threads=1)
    exact = runtime in ("onnxruntime", "openvino")
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-4 if exact else 0.2)
