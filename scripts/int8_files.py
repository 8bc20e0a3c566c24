"""ONNX files of a model for the scripts about int8: as ``onnx --int8`` writes them, and with plain scales."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.export.quantize import SMALLEST_PRODUCT
from fwsvd_export.export.record import RecordedSaturation
from fwsvd_export.export.saturation import float_matrices, in_bytes, without_saturation
from fwsvd_export.export.trace import trace
from fwsvd_export.storage.file_names import INT8_FILE, ONNX_FILE
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source, load_source

PLAIN_FILE = "model_plain.onnx"
FILES = {"float": ONNX_FILE, "int8": INT8_FILE, "int8, plain scales": PLAIN_FILE}


@dataclass(frozen=True)
class Int8Model:
    """A model with its three files.

    Attributes:
        checkpoint: the model, on the CPU.
        folder: with the files of ``FILES``.
        saturation: what ``export.json`` says of the sums.
        errors: matrix -> relative error (Frobenius) with plain scales, and with those that no processor saturates.
    """

    checkpoint: Checkpoint
    folder: Path
    saturation: RecordedSaturation
    errors: dict[str, tuple[float, float]]


def write_files(model: str, parent: Path) -> Int8Model:
    """Exports a model into a folder, and copies its int8 file with the scales of onnxruntime's own tool.

    Those scales make the largest weight of an output ±127 and nothing else, as files had them before sums were bounded.
    """
    source = Source(model, device="cpu")
    exported, checkpoint = run_onnx(OnnxRequest(source, parent, int8=True)), load_source(source)
    graph = trace(checkpoint.encoder, exported.record.opset, parent / "traced.onnx", carry_limit=SMALLEST_PRODUCT)
    quantized = onnx.load(exported.folder / INT8_FILE)
    stored = {tensor.name: tensor for tensor in quantized.graph.initializer}
    errors = {}
    for tensor, matrix in float_matrices(graph):
        names = f"{tensor.name}_quantized", f"{tensor.name}_scale"
        if names[0] in stored:
            for name, array in zip(names, in_bytes(matrix), strict=True):
                stored[name].CopyFrom(numpy_helper.from_array(array, name))
            errors[tensor.name] = (
                relative_error(matrix, *in_bytes(matrix)),
                relative_error(matrix, *without_saturation(matrix)),
            )
    onnx.save(quantized, exported.folder / PLAIN_FILE)
    int8 = exported.record.int8
    if int8 is None or int8.saturation is None:
        raise RuntimeError("onnx --int8 wrote a record without a bound of the sums")
    return Int8Model(checkpoint, exported.folder, int8.saturation, errors)


def relative_error(matrix: np.ndarray, values: np.ndarray, scales: np.ndarray) -> float:
    """How far values times scales are from a matrix, as a share of its Frobenius norm."""
    difference: Any = np.linalg.norm(values * scales.astype(np.float64) - matrix)
    return float(difference / np.linalg.norm(matrix))
