"""What becomes int8 and what stays."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from fwsvd_export.export import quantize as quantization
from fwsvd_export.export.quantize import quantize, units_of, weights_of

# Two layers of rank 5 whose second value layer is dense. In the first one query and key are merged, so that keys have
# no second product; the second one is for the first token alone
LAYERS = [
    f"bert.encoder.layer.{path}"
    for path in (
        *("0.attention.packed", "0.attention.query", "0.attention_output", "0.intermediate", "0.output"),
        *("1.attention.query", "1.attention.key", "1.attention.value"),
        *("1.attention_output", "1.intermediate", "1.output"),
    )
]
DENSE = "bert.encoder.layer.1.attention.value"
UNITS = ["embeddings", *LAYERS, "bert.pooler.dense", "classifier"]
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")


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


def test_units_are_layers_with_both_factors_and_all_embeddings_together(quantizable: Any) -> None:
    units = units_of(quantizable)
    assert sorted(units) == sorted(UNITS)
    assert len(units["embeddings"]) == len(TABLES)
    single = {LAYERS[0], LAYERS[1], DENSE}
    assert {len(units[name]) for name in set(LAYERS) - single} == {2}
    assert {len(units[name]) for name in single} == {1}


def test_weights_of_units_are_those_of_the_graph(quantizable: Any, small_model: Any) -> None:
    found, hidden = weights_of(quantizable), small_model.config.hidden_size
    parameters = dict(small_model.named_parameters())
    tables = [parameters[f"bert.embeddings.{table}.weight"].numel() for table in TABLES]
    assert found["embeddings"] == sum(tables)
    assert found["classifier"] == parameters["classifier.weight"].numel()
    assert found["bert.encoder.layer.0.output"] == 5 * (hidden + small_model.config.intermediate_size)
    assert found["bert.encoder.layer.0.attention.packed"] == 3 * 5 * hidden
    assert found["bert.encoder.layer.1.attention.key"] == 2 * 5 * hidden
    assert found[DENSE] == hidden * hidden


def test_all_weights_become_bytes_and_the_answers_stay_near(quantizable: Any, tmp_path: Path) -> None:
    before = quantizable.SerializeToString()
    quantize(quantizable, tmp_path / "int8.onnx")
    assert quantizable.SerializeToString() == before
    quantized = onnx.load(tmp_path / "int8.onnx")
    weights = sum(weights_of(quantizable).values())
    assert bytes_of(quantized, TensorProto.INT8) >= weights
    assert bytes_of(quantized, TensorProto.FLOAT) < weights / 2  # biases, norms and scales
    difference = np.abs(run(quantized) - run(quantizable)).max()
    assert 0 < difference < 0.2 * np.abs(run(quantizable)).max()


def test_large_products_run_in_8_bits_and_small_ones_in_float(
    quantizable: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for smallest in (0, 1_000, 10**9):
        monkeypatch.setattr(quantization, "SMALLEST_PRODUCT", smallest)
        quantize(quantizable, tmp_path / "int8.onnx")
        operators = Counter(node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node)
        found[smallest] = operators["MatMulInteger"]
        difference = np.abs(run(onnx.load(tmp_path / "int8.onnx")) - run(quantizable)).max()
        assert 0 < difference < 0.2 * np.abs(run(quantizable)).max()
    products = sum(len(names) for unit, names in units_of(quantizable).items() if unit != "embeddings")
    large = {"bert.pooler.dense", DENSE}
    assert found == {0: products, 1_000: len(large), 10**9: 0}
    assert large == {unit for unit, size in weights_of(quantizable).items() if size >= 1_000} - {"embeddings"}


def test_a_matrix_that_is_kept_in_8_bits_is_a_constant_once_the_file_is_open(quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "int8.onnx", kept_float={"embeddings"})
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    onnxruntime.InferenceSession(tmp_path / "int8.onnx", options, providers=["CPUExecutionProvider"])
    before, after = (
        {node.op_type for node in onnx.load(tmp_path / name).graph.node if "int8" in "".join(node.input)}
        for name in ("int8.onnx", "opened.onnx")
    )
    assert before == {"Cast", "Mul"}
    assert after == set()


def test_shapes_that_would_slow_onnxruntime_down_are_not_noted(
    quantizable: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "SMALLEST_PRODUCT", 0)
    quantize(quantizable, tmp_path / "int8.onnx")
    assert len(onnx.load(tmp_path / "int8.onnx").graph.value_info) == 0


def test_a_row_of_an_embedding_is_off_by_half_a_step_of_its_own_scale_at_most(quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "int8.onnx", kept_float=set(UNITS) - {"embeddings"})
    before, after = tensors_of(quantizable), tensors_of(onnx.load(tmp_path / "int8.onnx"))
    for table in TABLES:
        name = f"model.bert.embeddings.{table}.weight"
        values, scales = after[f"{name}.int8"], after[f"{name}.scale"]
        assert (values.dtype, scales.shape) == (np.int8, (len(values), 1))
        assert name not in after
        assert np.all(np.abs(values * scales - before[name]) <= scales / 2 * 1.001)
    padding = after["model.bert.embeddings.word_embeddings.weight.int8"][0]
    assert np.array_equal(padding, np.zeros_like(padding)), "a row of zeros has no scale, and stays zero"


@pytest.mark.parametrize("kept", [{"embeddings"}, {"classifier"}, {DENSE, LAYERS[0]}, set(LAYERS)], ids=len)
def test_what_shall_stay_in_float_does(kept: set[str], quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "mixed.onnx", kept)
    quantized = onnx.load(tmp_path / "mixed.onnx")
    weights = weights_of(quantizable)
    assert bytes_of(quantized, TensorProto.FLOAT) >= 4 * sum(weights[unit] for unit in kept)
    in_bytes = sum(count for unit, count in weights.items() if unit not in kept)
    assert in_bytes <= bytes_of(quantized, TensorProto.INT8) <= in_bytes + 600  # zero points beside the weights


def test_with_everything_in_float_the_answers_are_the_same(quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "float.onnx", UNITS)
    assert np.array_equal(run(onnx.load(tmp_path / "float.onnx")), run(quantizable))


def test_nothing_is_logged_and_logging_is_as_before(
    quantizable: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        quantize(quantizable, tmp_path / "int8.onnx")
        assert caplog.records == []
        logging.getLogger("other").warning("still heard")
        assert len(caplog.records) == 1
