"""Weights in 8 bits: matrix products by onnxruntime's dynamic quantisation, embeddings with a scale per row."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fwsvd_export.export.libraries import required

EMBEDDINGS = "embeddings"  # all embedding tables are one unit
_LARGEST = 127  # of a signed byte, the same on both sides of zero
_FACTORS = {"down", "up"}


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

    Activations are quantised while the model runs, one scale for a whole tensor; a matrix has a scale per output, an
    embedding table one per row: half the error of one scale for the table, at a hundredth more bytes.

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
    embeddings = set(units.pop(EMBEDDINGS, [])) if EMBEDDINGS not in kept_float else set()
    _quantize_embeddings(quantized, embeddings)
    nodes = [name for unit, names in units.items() if unit not in kept_float for name in names]
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


def _is_embedding(node: Any, weights: Mapping[str, Any]) -> bool:
    """Whether a node looks up rows of a table of weights."""
    return node.op_type == "Gather" and node.input[0] in weights and len(weights[node.input[0]].dims) == 2


def _layer_of(node_name: str) -> str:
    """/model/bert/encoder/layer.0/attention/self/query/down/MatMul -> bert.encoder.layer.0.attention.self.query."""
    path = node_name.split("/")[2:-1]
    return ".".join(path[:-1] if path[-1] in _FACTORS else path)


def _quantize_embeddings(graph: Any, names: Collection[str]) -> None:
    """Rewrites lookups in the graph: row i of the table becomes (row i in int8) times (scale i)."""
    helper, numpy_helper = required("onnx.helper"), required("onnx.numpy_helper")
    tables = {tensor.name: tensor for tensor in graph.graph.initializer}
    nodes = []
    for node in graph.graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        table, rows, result = node.input[0], node.input[1], node.output[0]
        values, scales = _by_row(numpy_helper.to_array(tables[table]))
        graph.graph.initializer.remove(tables[table])
        for kind, array in (("int8", values), ("scale", scales)):
            graph.graph.initializer.append(numpy_helper.from_array(array, f"{table}.{kind}"))
            nodes.append(helper.make_node("Gather", [f"{table}.{kind}", rows], [f"{result}.{kind}"], axis=0))
        nodes.append(
            helper.make_node("Cast", [f"{result}.int8"], [f"{result}.float"], to=required("onnx").TensorProto.FLOAT)
        )
        nodes.append(helper.make_node("Mul", [f"{result}.float", f"{result}.scale"], [result]))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _by_row(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table (rows, width) as int8 and a scale per row (rows, 1)."""
    largest = np.abs(table).max(axis=1, keepdims=True)
    scales = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    return np.rint(table / scales).astype(np.int8), scales


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice to run another tool first, which it logs for every model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
