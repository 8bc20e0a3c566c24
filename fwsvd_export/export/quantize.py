"""Weights in 8 bits: large products by onnxruntime's dynamic quantisation, all else kept in 8 bits, used in float."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fwsvd_export.export.libraries import required
from fwsvd_export.export.saturation import float_matrices, in_bytes, is_transposed, without_saturation

EMBEDDINGS = "embeddings"  # all embedding tables are one unit
_FACTORS = {"down", "up"}
# A product with fewer weights is no faster in 8 bits: quantising what comes in takes as long as is won. Break-even was
# between 12,000 and 50,000 weights for 128 tokens on 2 threads with AVX-512 VNNI, onnxruntime 1.31 (docs/log.md)
SMALLEST_PRODUCT = 2**15


def units_of(graph: Any) -> dict[str, list[str]]:
    """What can be quantised on its own, in the graph's order: a layer (with both factors) -> its nodes' names."""
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    units: dict[str, list[str]] = {}
    for node in graph.graph.node:
        if _is_embedding(node, weights):
            units.setdefault(EMBEDDINGS, []).append(node.name)
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            units.setdefault(_layer_of(node.name), []).append(node.name)
    return units


def weights_of(graph: Any) -> dict[str, int]:
    """Unit -> how many weights it has."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.graph.initializer}
    tensors = {
        node.name: node.input[0 if node.op_type == "Gather" else 1] for node in graph.graph.node if len(node.input) > 1
    }
    return {unit: sum(sizes[tensors[name]] for name in names) for unit, names in units_of(graph).items()}


def quantize(graph: Any, file: Path, kept_float: Collection[str] = ()) -> None:
    """Writes the graph with int8 weights.

    A large product runs in 8 bits: activations are quantised while the model runs, one scale for a whole tensor, and
    the matrix has a scale per output, chosen so that no processor cuts sums off (``saturation``). A small one,
    below ``SMALLEST_PRODUCT`` weights, would be no faster: its matrix is 8 bits in the file and is turned into float
    once, when onnxruntime opens it and folds constants. An embedding table has a scale per row: half the error of one
    scale for the table, at a hundredth more bytes.

    Args:
        graph: an ``onnx.ModelProto`` in float32; it stays as it is.
        file: where to.
        kept_float: units that stay as they are.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    onnx, quantization = required("onnx"), required("onnxruntime.quantization")
    units = units_of(graph)
    quantized = onnx.ModelProto()
    quantized.CopyFrom(graph)
    chosen = {name for unit, names in units.items() if unit not in kept_float for name in names}
    nodes = [name for name, size in _products(quantized).items() if name in chosen and size >= SMALLEST_PRODUCT]
    _store_in_int8(quantized, chosen - set(nodes))
    if not nodes:  # an empty list would mean all of them
        onnx.save(quantized, file)
        return
    with _quiet():
        quantization.quantize_dynamic(
            quantized,
            file,
            op_types_to_quantize=["MatMul"],
            # a Gemm becomes a MatMul of another name before names are looked at
            nodes_to_quantize=[*nodes, *(f"{name}_MatMul" for name in nodes)],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
        )
    quantized = onnx.load(file)
    _requantize(quantized, graph)
    # Noted shapes are all that onnxruntime needs to put SkipLayerNormalization in the place of Add and
    # LayerNormalization, and on a CPU it took three times as long as the two
    del quantized.graph.value_info[:]
    onnx.save(quantized, file)


def _requantize(quantized: Any, graph: Any) -> None:
    """Gives every matrix that onnxruntime's tool quantised the values of ``without_saturation``."""
    numpy_helper = required("onnx.numpy_helper")
    stored = {tensor.name: tensor for tensor in quantized.graph.initializer}
    for tensor, matrix in float_matrices(graph):
        values, scales = (stored.get(f"{tensor.name}_{part}") for part in ("quantized", "scale"))
        if values is None or scales is None:
            continue
        for place, array in zip((values, scales), without_saturation(matrix), strict=True):
            place.CopyFrom(numpy_helper.from_array(array, place.name))


def _is_embedding(node: Any, weights: Mapping[str, Any]) -> bool:
    """Whether a node looks up rows of a table of weights."""
    return node.op_type == "Gather" and node.input[0] in weights and len(weights[node.input[0]].dims) == 2


def _layer_of(node_name: str) -> str:
    """/model/bert/encoder/layer.0/attention/self/query/down/MatMul -> bert.encoder.layer.0.attention.self.query."""
    path = node_name.split("/")[2:-1]
    return ".".join(path[:-1] if path[-1] in _FACTORS else path)


def _products(graph: Any) -> dict[str, int]:
    """Node -> how many weights its matrix has."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.graph.initializer}
    return {
        node.name: sizes[node.input[1]]
        for node in graph.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in sizes
    }


def _store_in_int8(graph: Any, names: Collection[str]) -> None:
    """Rewrites nodes in the graph: their table or matrix becomes int8 values times scales."""
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    nodes = []
    for node in graph.graph.node:
        if node.name not in names:
            nodes.append(node)
        elif node.op_type == "Gather":
            nodes += _looked_up(graph, node, tensors[node.input[0]])
        else:
            nodes += _multiplied(graph, node, tensors[node.input[1]])
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _looked_up(graph: Any, node: Any, table: Any) -> list[Any]:
    """Row i of the table becomes (row i in int8) times (scale i)."""
    helper = required("onnx.helper")
    rows, result = node.input[1], node.output[0]
    parts = _split(graph, table, axis=0)
    picked = [helper.make_node("Gather", [part, rows], [f"{result}.{number}"]) for number, part in enumerate(parts)]
    return [*picked, *_in_float(f"{result}.0", f"{result}.1", result)]


def _multiplied(graph: Any, node: Any, matrix: Any) -> list[Any]:
    """The matrix becomes a product of two constants, which onnxruntime takes when it opens the file."""
    values, scales = _split(graph, matrix, axis=0 if is_transposed(node) else 1)
    copy = required("onnx").NodeProto()
    copy.CopyFrom(node)
    copy.input[1] = f"{matrix.name}.float"
    return [*_in_float(values, scales, copy.input[1]), copy]


def _split(graph: Any, tensor: Any, axis: int) -> tuple[str, str]:
    """Puts int8 values and a scale per row (axis 0) or column (axis 1) in a matrix' place; their names."""
    numpy_helper = required("onnx.numpy_helper")
    matrix = numpy_helper.to_array(tensor)
    values, scales = in_bytes(matrix.T if axis == 0 else matrix)
    if axis == 0:
        values, scales = np.ascontiguousarray(values.T), scales[:, np.newaxis]
    names = f"{tensor.name}.int8", f"{tensor.name}.scale"
    graph.graph.initializer.remove(tensor)
    graph.graph.initializer.extend(
        numpy_helper.from_array(array, name) for array, name in zip((values, scales), names, strict=True)
    )
    return names


def _in_float(values: str, scales: str, result: str) -> list[Any]:
    """Nodes that multiply int8 values with their scales."""
    helper, float32 = required("onnx.helper"), required("onnx").TensorProto.FLOAT
    return [
        helper.make_node("Cast", [values], [f"{values}.cast"], to=float32),
        helper.make_node("Mul", [f"{values}.cast", scales], [result]),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice to run another tool first, which it logs for every model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
