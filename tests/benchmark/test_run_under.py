"""Every runtime of an exported folder gives the model's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import openvino
import pytest
import torch
from transformers import BertForSequenceClassification

from fwsvd_export import export_onnx
from fwsvd_export.benchmark.run_under import check_runtimes, run_under
from fwsvd_export.benchmark.runtimes import RUNTIME_FILES
from fwsvd_export.errors import ExportError
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.openvino_int8 import write_openvino_int8
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE


@pytest.fixture(scope="module")
def exported(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    export_onnx(BertForSequenceClassification.from_pretrained(tiny_folder), out, int8=True)
    generator, texts = torch.Generator().manual_seed(0), []
    for length in range(2, 22):
        ids = torch.randint(5, 25, (1, length), generator=generator)
        zeros = torch.zeros_like(ids)
        texts.append({"input_ids": ids, "attention_mask": zeros + 1, "token_type_ids": zeros})
    made_from = OnnxModel(out, ONNX_FILE).metadata
    write_openvino_int8(out / ONNX_FILE, out, texts, cast(Identity, Identity.read(made_from)))
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
    # Static ranges of a model this small are coarse: a tenth of its largest logit
    allowed = {"onnxruntime": 1e-4, "openvino": 1e-4, "openvino-int8": 0.6}.get(runtime, 0.2)
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=allowed)
