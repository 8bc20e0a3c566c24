"""The encoder that is exported, against transformers' own and as a graph."""

from __future__ import annotations

import copy
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.export.encoder import with_fast_encoder
from fwsvd_export.export.trace import trace
from fwsvd_export.records import RankLimits
from tests.helpers import FAST_HEADS

RANKS = [1, 3, 9, 16]


def outputs_of(model: Any, encoder: Encoder) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    inputs = {name: torch.randint(count, (2, 7), generator=generator) for name, count in encoder.ranges.items()}
    inputs = {name: values.unsqueeze(0) if encoder.head.has_choices else values for name, values in inputs.items()}
    inputs["attention_mask"] = mask.unsqueeze(0) if encoder.head.has_choices else mask
    with torch.inference_mode():
        found = model(**inputs)
    return [getattr(found, name) for name in encoder.outputs]


@pytest.mark.parametrize("limit", [0, 200, math.inf])
@pytest.mark.parametrize("rank", [None, *RANKS])
@pytest.mark.parametrize("class_name", FAST_HEADS)
def test_it_is_the_same_function(class_name: str, rank: int | None, limit: float, make_head: Any) -> None:
    model = make_head(class_name)
    if rank is not None:
        layers = encoder_of(model).layers
        limits = RankLimits(keep_dense=(layers[5].name, layers[8].name))  # first output, second value
        model = compress(model, method="svd", rank=rank, limits=limits)
    encoder = encoder_of(model)
    expected = outputs_of(model, encoder)
    fast = with_fast_encoder(encoder_of(copy.deepcopy(model)), limit).eval()
    for found, wanted in zip(outputs_of(fast, encoder), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=2e-5)


def nodes_of(model: Any, tmp_path: Path, **options: Any) -> Any:
    return trace(encoder_of(model), 17, tmp_path / "model.onnx", **options).graph.node


@pytest.fixture
def tagger(make_head: Any) -> Any:
    return make_head("BertForTokenClassification")


def test_query_key_and_value_start_with_one_product(tagger: Any, tmp_path: Path) -> None:
    small = compress(tagger, method="svd", rank=15)
    for model in (tagger, small):
        products = [node.name for node in nodes_of(model, tmp_path) if node.op_type == "MatMul"]
        first = [name for name in products if "/layer.0/attention/" in name]
        assert first[0].endswith("/layer.0/attention/packed/MatMul")
        assert sum("packed" in name for name in products) == model.config.num_hidden_layers


def test_shapes_are_constants_and_merged_layers_transpose_only_the_key(tagger: Any, tmp_path: Path) -> None:
    layers = tagger.config.num_hidden_layers
    small = compress(tagger, method="svd", rank=1)
    plain, merged = (
        Counter(node.op_type for node in nodes_of(model, tmp_path) if "/layer." in node.name)
        for model in (tagger, small)
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
