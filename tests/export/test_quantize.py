"""What becomes int8 and what stays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from fwsvd_export.export.quantize import quantize, units_of, weights_of

LAYERS = [
    f"bert.encoder.layer.{index}.{path}"
    for index in range(2)
    for path in (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
]
UNITS = ["embeddings", *LAYERS, "bert.pooler.dense", "classifier"]
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
DENSE = "bert.encoder.layer.1.attention.self.value"


def tensors_of(graph: Any) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def bytes_of(graph: Any, kind: int) -> int:
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer if tensor.data_type == kind)


def run(graph: Any) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    inputs = {
        "input_ids": generator.integers(5, 25, (4, 11)),
        "attention_mask": np.ones((4, 11), dtype=np.int64),
        "token_type_ids": generator.integers(0, 2, (4, 11)),
    }
    logits: np.ndarray = session.run(None, inputs)[0]
    return logits


def test_units_are_layers_with_both_factors_and_all_embeddings_together(graph: Any) -> None:
    units = units_of(graph)
    assert sorted(units) == sorted(UNITS)
    assert len(units["embeddings"]) == len(TABLES)
    assert {len(units[name]) for name in LAYERS if name != DENSE} == {2}
    assert len(units[DENSE]) == 1


def test_weights_of_units_are_those_of_the_model(graph: Any, small_model: Any) -> None:
    parameters = dict(small_model.named_parameters())
    counts = {
        unit: sum(
            value.numel() for name, value in parameters.items() if name.startswith(f"{unit}.") and value.dim() == 2
        )
        for unit in UNITS[1:]
    }
    counts["embeddings"] = sum(parameters[f"bert.embeddings.{table}.weight"].numel() for table in TABLES)
    assert weights_of(graph) == counts


def test_all_weights_become_bytes_and_the_answers_stay_near(graph: Any, tmp_path: Path) -> None:
    before = graph.SerializeToString()
    quantize(graph, tmp_path / "int8.onnx")
    assert graph.SerializeToString() == before
    quantized = onnx.load(tmp_path / "int8.onnx")
    weights = sum(weights_of(graph).values())
    assert bytes_of(quantized, TensorProto.INT8) >= weights
    assert bytes_of(quantized, TensorProto.FLOAT) < weights / 2  # biases, norms and scales
    difference = np.abs(run(quantized) - run(graph)).max()
    assert 0 < difference < 0.2 * np.abs(run(graph)).max()


def test_a_row_of_an_embedding_is_off_by_half_a_step_of_its_own_scale_at_most(graph: Any, tmp_path: Path) -> None:
    quantize(graph, tmp_path / "int8.onnx", kept_float=set(UNITS) - {"embeddings"})
    before, after = tensors_of(graph), tensors_of(onnx.load(tmp_path / "int8.onnx"))
    for table in TABLES:
        name = f"model.bert.embeddings.{table}.weight"
        values, scales = after[f"{name}.int8"], after[f"{name}.scale"]
        assert (values.dtype, scales.shape) == (np.int8, (len(values), 1))
        assert name not in after
        assert np.all(np.abs(values * scales - before[name]) <= scales / 2 * 1.001)
    padding = after["model.bert.embeddings.word_embeddings.weight.int8"][0]
    assert np.array_equal(padding, np.zeros_like(padding)), "a row of zeros has no scale, and stays zero"


@pytest.mark.parametrize("kept", [{"embeddings"}, {"classifier"}, {DENSE, LAYERS[0]}, set(LAYERS)], ids=len)
def test_what_shall_stay_in_float_does(kept: set[str], graph: Any, tmp_path: Path) -> None:
    quantize(graph, tmp_path / "mixed.onnx", kept)
    quantized = onnx.load(tmp_path / "mixed.onnx")
    weights = weights_of(graph)
    assert bytes_of(quantized, TensorProto.FLOAT) >= 4 * sum(weights[unit] for unit in kept)
    in_bytes = sum(count for unit, count in weights.items() if unit not in kept)
    assert in_bytes <= bytes_of(quantized, TensorProto.INT8) <= in_bytes + 600  # zero points beside the weights


def test_with_everything_in_float_the_answers_are_the_same(graph: Any, tmp_path: Path) -> None:
    quantize(graph, tmp_path / "float.onnx", UNITS)
    assert np.array_equal(run(onnx.load(tmp_path / "float.onnx")), run(graph))


def test_nothing_is_logged_and_logging_is_as_before(
    graph: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        quantize(graph, tmp_path / "int8.onnx")
        assert caplog.records == []
        logging.getLogger("other").warning("still heard")
        assert len(caplog.records) == 1
