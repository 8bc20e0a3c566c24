"""An OpenVINO model with weights and activations in 8 bits, by NNCF's post-training quantisation.

Products with weights run in 8 bits, the ranges of what comes in are taken once, from text of the task. Products of two
activations (scores and contexts of attention) stay as they are: the mask, the largest negative number, is among what
they read, and no 8 bits hold it beside a score.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.errors import ExportError, message_of
from fwsvd_export.export.identity import PREFIX, Identity
from fwsvd_export.export.libraries import required
from fwsvd_export.storage.file_names import OPENVINO_INT8_FILE

CALIBRATION_TEXTS = 300  # whose activations are looked at, as many as NNCF advises
_SECTION = PREFIX.rstrip(".")  # of the model's own information


def write_openvino_int8(graph: Path, folder: Path, texts: Sequence[Mapping[str, Tensor]], identity: Identity) -> None:
    """Writes the 8-bit model, in two files.

    Args:
        graph: the ONNX file in float32.
        folder: where to.
        texts: one sequence each, without padding.
        identity: of the checkpoint that the graph was made from.

    Raises:
        ExportError: the graph cannot be quantised.
        MissingExtraError: openvino or nncf is not installed.
    """
    openvino, nncf = required("openvino"), _quiet_nncf()
    model = openvino.Core().read_model(graph)
    inputs = [port.get_any_name() for port in model.inputs]
    arrays = [{name: _input(text, name).numpy() for name in inputs} for text in texts]
    try:
        with redirect_stdout(io.StringIO()):  # its progress bars would stand between the lines of ours
            quantized = nncf.quantize(
                model,
                nncf.Dataset(arrays),
                model_type=nncf.ModelType.TRANSFORMER,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(arrays),
                ignored_scope=nncf.IgnoredScope(names=products_of_activations(model), validate=False),
            )
    except Exception as error:  # NNCF raises a class of its own per kind of graph
        raise ExportError(
            f"NNCF cannot quantise {graph.name} ({message_of(error)}); leave --openvino-int8 out"
        ) from error
    for name, value in asdict(identity).items():
        quantized.set_rt_info(value, [_SECTION, name])
    openvino.save_model(quantized, folder / OPENVINO_INT8_FILE, compress_to_fp16=False)


def _input(text: Mapping[str, Tensor], name: str) -> Tensor:
    """What a text has of an input; without it the mask is all ones and the rest is all zero, as when the model runs."""
    found = text.get(name)
    return torch.full_like(text[IDS], int(name == MASK)) if found is None else found


def products_of_activations(model: Any) -> list[str]:
    """Names of the products in an ``openvino.Model`` that no weights take part in."""
    constant = ("Constant", "Convert")
    return [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "MatMul"
        and not any(port.get_source_output().get_node().get_type_name() in constant for port in node.inputs())
    ]


def metadata_of(model: Any) -> dict[str, str]:
    """What an ``openvino.Model`` that was written here says of its checkpoint, as an ONNX file's metadata has it."""
    names = Identity.__dataclass_fields__
    if not model.has_rt_info([_SECTION]):
        return {}
    return {
        PREFIX + name: model.get_rt_info([_SECTION, name]).astype(str)
        for name in names
        if model.has_rt_info([_SECTION, name])
    }


def _quiet_nncf() -> Any:
    """NNCF without its messages; what it would report to its makers is not sent."""
    os.environ.setdefault("NNCF_CI", "1")  # looked at when it is imported
    nncf = required("nncf")
    nncf.set_log_level(logging.ERROR)
    return nncf
