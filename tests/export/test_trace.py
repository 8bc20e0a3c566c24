"""The graph: its axes, its operators, what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export.architectures.registry import BERT, encoder_of
from fwsvd_export.errors import ExportError
from fwsvd_export.export import OPSETS
from fwsvd_export.export import quantize as quantization
from fwsvd_export.export import trace as tracing
from fwsvd_export.export.check import differences, shapes_up_to, worst_of
from fwsvd_export.export.folder import plain_settings
from fwsvd_export.export.quantize import quantize, units_of
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.export.trace import trace
from fwsvd_export.storage.json_files import write_json


def axes_of(values: Any) -> dict[str, list[str | int]]:
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] for value in values
    }


def test_names_and_free_axes(graph: Any) -> None:
    assert axes_of(graph.graph.input) == {name: ["batch_size", "sequence_length"] for name in BERT.inputs}
    assert axes_of(graph.graph.output) == {"logits": ["batch_size", 2]}
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]


def test_weights_are_inside_and_no_training_is(graph: Any) -> None:
    assert {tensor.data_location for tensor in graph.graph.initializer} == {0}
    operators = {node.op_type for node in graph.graph.node}
    assert "Dropout" not in operators
    assert "LayerNormalization" in operators


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_the_opset_is_the_one_asked_for(opset: int, tiny_model: Any, tmp_path: Path) -> None:
    graph = trace(encoder_of(tiny_model), opset, tmp_path / "model.onnx")
    assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [opset]


def test_equal_layers_have_their_own_weights_in_8_bits_too(
    make_head: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_head("BertForTokenClassification")  # a classifier's last layer is not like the others
    first, second = model.bert.encoder.layer
    second.load_state_dict(first.state_dict())
    graph = trace(encoder_of(model), 17, tmp_path / "model.onnx")
    products = {node.name: node.input[1] for node in graph.graph.node if node.op_type in ("MatMul", "Gemm")}
    layers = [{name.replace(f"layer.{n}", "") for name in products if f"layer.{n}" in name} for n in range(2)]
    assert layers[0] == layers[1]
    units = units_of(graph)
    assert {name.replace("layer.0", "layer.1") for name in units if "layer.0" in name} <= set(units)
    write_json(tmp_path / "config.json", plain_settings(encoder_of(model)))
    for smallest in (0, 10**9):
        monkeypatch.setattr(quantization, "SMALLEST_PRODUCT", smallest)
        quantize(graph, tmp_path / "int8.onnx", {name for name in units if "layer.1" in name})
        exported = OnnxModel(tmp_path, "int8.onnx")
        assert worst_of(differences(encoder_of(model), exported, shapes_up_to(8))).max_difference < 1


def test_a_model_of_few_positions_is_traced(make_head: Any, tmp_path: Path) -> None:
    model = make_head("BertForSequenceClassification", max_position_embeddings=3)
    trace(encoder_of(model), 17, tmp_path / "model.onnx")
    write_json(tmp_path / "config.json", plain_settings(encoder_of(model)))
    found = differences(encoder_of(model), OnnxModel(tmp_path, "model.onnx"), shapes_up_to(3))
    assert worst_of(found).max_difference < 1e-5


def test_the_model_is_left_as_it_was(tiny_model: Any, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    attention = tiny_model.config._attn_implementation
    trace(encoder_of(tiny_model), 17, tmp_path / "model.onnx")
    assert not tiny_model.training
    assert tiny_model.config._attn_implementation == attention
    assert all(torch.equal(tensor, state[name]) for name, tensor in tiny_model.state_dict().items())


def test_settings_that_add_outputs_do_not_reach_the_graph(make_head: Any, tmp_path: Path) -> None:
    settings = {"output_hidden_states": True, "output_attentions": True, "return_dict": False}
    model = make_head("BertForSequenceClassification", attn_implementation="eager", **settings)
    graph = trace(encoder_of(model), 17, tmp_path / "model.onnx")
    assert [output.name for output in graph.graph.output] == ["logits"]


def test_a_model_that_is_too_large_is_refused_before_it_is_traced(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "LARGEST_BYTES", 50_000)
    with pytest.raises(ExportError, match=r"needs 0\.0 GB in float32, and an ONNX file .* compress the model further"):
        trace(encoder_of(tiny_model), 17, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
