"""The encoder that is exported, against transformers' own and as a graph."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.export.encoder import FastEncoder
from fwsvd_export.export.signature import signature_of
from fwsvd_export.export.trace import trace
from fwsvd_export.records import RankLimits

RANKS = [1, 3, 9, 16]


def states_of(model: Any, encoder: Any) -> torch.Tensor:
    torch.manual_seed(0)
    states = torch.randn(2, 7, model.config.hidden_size)
    mask = torch.zeros(2, 1, 1, 7)
    mask[1, ..., 4:] = torch.finfo(torch.float32).min
    with torch.inference_mode():
        found: torch.Tensor = encoder(states, attention_mask=mask).last_hidden_state
    return found


@pytest.mark.parametrize("limit", [0, 200, math.inf])
@pytest.mark.parametrize("rank", [None, *RANKS])
def test_it_is_the_encoder(rank: int | None, limit: float, make_head: Any) -> None:
    model = make_head("BertForSequenceClassification", attn_implementation="eager")
    if rank is not None:
        limits = RankLimits(keep_dense=("encoder.layer.1.attention.self.value", "encoder.layer.0.output.dense"))
        model = compress(model, method="svd", rank=rank, limits=limits)
    model.bert.encoder.config._attn_implementation = "eager"
    fast = FastEncoder(model.bert.encoder, model.config.num_attention_heads, limit).eval()
    torch.testing.assert_close(states_of(model, fast), states_of(model, model.bert.encoder), rtol=1e-5, atol=1e-5)


def nodes_of(model: Any, tmp_path: Path, **options: Any) -> Any:
    return trace(model, signature_of(model), 17, tmp_path / "model.onnx", **options).graph.node


def test_query_key_and_value_start_with_one_product(tiny_model: Any, tmp_path: Path) -> None:
    small = compress(tiny_model, method="svd", rank=15)
    for model in (tiny_model, small):
        products = [node.name for node in nodes_of(model, tmp_path) if node.op_type == "MatMul"]
        first = [name for name in products if "/layer.0/attention/" in name]
        assert first[0].endswith("/layer.0/attention/packed/MatMul")
        assert sum("packed" in name for name in products) == model.config.num_hidden_layers


def test_shapes_are_constants_and_merged_layers_transpose_only_the_key(tiny_model: Any, tmp_path: Path) -> None:
    layers = tiny_model.config.num_hidden_layers
    small = compress(tiny_model, method="svd", rank=1)
    plain, merged = (
        Counter(node.op_type for node in nodes_of(model, tmp_path) if "/layer." in node.name)
        for model in (tiny_model, small)
    )
    assert plain["Shape"] == merged["Shape"] == 0
    assert (plain["Transpose"], plain["Reshape"]) == (4 * layers, 4 * layers)
    assert (merged["Transpose"], merged["Reshape"]) == (layers, 2 * layers)


def test_biases_travel_in_factors_only_where_they_may(tiny_model: Any, tmp_path: Path) -> None:
    small = compress(tiny_model, method="svd", rank=3)
    carried = [node.name for node in nodes_of(small, tmp_path) if node.op_type == "Add"]
    left = [node.name for node in nodes_of(small, tmp_path, carry_limit=0) if node.op_type == "Add"]
    assert any(name.endswith("/intermediate/down/Add") for name in carried)
    assert not any(name.endswith("/intermediate/up/Add") for name in carried)
    assert any(name.endswith("/intermediate/up/Add") for name in left)
    assert not any("down" in name or "packed" in name for name in left)
