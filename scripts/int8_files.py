"""ONNX files of a model for the scripts about int8: as ``onnx --int8`` writes them, and with plain scales."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.errors import ExportError
from fwsvd_export.export.quantize import SMALLEST_PRODUCT
from fwsvd_export.export.record import ExportRecord, RecordedSaturation
from fwsvd_export.export.saturation import float_matrices, in_bytes, proven, without_saturation
from fwsvd_export.export.trace import trace
from fwsvd_export.storage.file_names import EXPORT_FILE, INT8_FILE, ONNX_FILE, ONNX_FOLDER
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.workflows.source import Source, load_source

PLAIN_FILE = "model_plain.onnx"
FILES = {"float": ONNX_FILE, "int8": INT8_FILE, "int8, plain scales": PLAIN_FILE}


@dataclass(frozen=True)
class Int8Model:
    """A model with its three files.

    Attributes:
        checkpoint: the model, on the CPU.
        folder: with the files of ``FILES``.
        saturation: how large its sums can become.
        errors: matrix -> relative error (Frobenius) with plain scales, and with those that no processor saturates.
    """

    checkpoint: Checkpoint
    folder: Path
    saturation: RecordedSaturation
    errors: dict[str, tuple[float, float]]


def read_files(model: str, scratch: Path) -> Int8Model:
    """Copies the ONNX files of a model into a folder to make, and adds the int8 file with plain scales.

    Plain scales make the largest weight of an output ±127 and nothing else, as onnxruntime's own tool does, and as
    files had them before sums were bounded.
    """
    if not (Path(model) / ONNX_FOLDER / INT8_FILE).is_file():
        sys.exit(f"{model} has no {ONNX_FOLDER}/{INT8_FILE}; make it with fwsvd-export onnx {model} --int8")
    folder, checkpoint = scratch / ONNX_FOLDER, load_source(Source(model, device="cpu"))
    shutil.copytree(Path(model) / ONNX_FOLDER, folder)
    place = str(folder / EXPORT_FILE)
    record = ExportRecord.from_json(read_json(folder / EXPORT_FILE, ExportError, place), place, ExportError)
    graph = trace(checkpoint.encoder, record.opset, scratch / "traced.onnx", carry_limit=SMALLEST_PRODUCT)
    quantized = onnx.load(folder / INT8_FILE)
    stored = {tensor.name: tensor for tensor in quantized.graph.initializer}
    errors = {}
    for tensor, matrix in float_matrices(graph):
        names = f"{tensor.name}_quantized", f"{tensor.name}_scale"
        if names[0] in stored:
            plain, ours = in_bytes(matrix), without_saturation(matrix)
            for name, array in zip(names, plain, strict=True):
                stored[name].CopyFrom(numpy_helper.from_array(array, name))
            errors[tensor.name] = relative_error(matrix, *plain), relative_error(matrix, *ours)
    onnx.save(quantized, folder / PLAIN_FILE)
    return Int8Model(checkpoint, folder, proven(folder / INT8_FILE, graph), errors)


def relative_error(matrix: np.ndarray, values: np.ndarray, scales: np.ndarray) -> float:
    """How far values times scales are from a matrix, as a share of its Frobenius norm."""
    difference: Any = np.linalg.norm(values * scales.astype(np.float64) - matrix)
    return float(difference / np.linalg.norm(matrix))
