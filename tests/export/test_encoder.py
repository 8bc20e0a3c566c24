"""The encoder that is exported, against transformers' own and as a graph."""

from __future__ import annotations

import copy
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fwsvd_export import compress
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.export.encoder import with_fast_encoder
from fwsvd_export.export.trace import trace
from fwsvd_export.records import RankLimits
from tests.helpers import HEADS

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
@pytest.mark.parametrize("class_name", HEADS)
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


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("class_name", HEADS)
def test_the_last_layer_is_for_the_first_token_alone_where_no_other_is_read(
    class_name: str, rank: int | None, make_head: Any
) -> None:
    model = make_head(class_name)
    model = model if rank is None else compress(model, method="svd", rank=rank)
    encoder = encoder_of(model)
    base = encoder.head.auto_class == "AutoModel"
    fast: Any = with_fast_encoder(encoder_of(copy.deepcopy(model)), math.inf)
    fast = fast if base else getattr(fast, fast.base_model_prefix)
    *_, last = next(module for module in fast.modules() if isinstance(module, torch.nn.ModuleList))
    width = model.config.hidden_size

    def operations(length: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            out = last(torch.zeros(1, length, width), torch.zeros(1, length))
        assert out.shape[1] == (1 if encoder.head.reads_first_token else length)
        return counter.get_total_flops()

    more = operations(40) - operations(8)
    inner_products = 2 * 2 * 32 * width * model.config.num_attention_heads
    assert (more == inner_products) is encoder.head.reads_first_token
    assert more >= inner_products


def test_heads_that_read_the_first_token_are_those_whose_output_depends_on_no_other(make_head: Any) -> None:
    for class_name in HEADS:
        model = make_head(class_name).eval()
        head = encoder_of(model).head
        states = torch.randn(1, 6, model.config.hidden_size, generator=torch.Generator().manual_seed(0))
        changed = states + torch.arange(6).sign()[None, :, None]  # every token but the first

        def outputs(hidden: torch.Tensor, model: Any = model, head: Any = head) -> list[torch.Tensor]:
            base = encoder_of(model).base
            layers = next(module for module in base.modules() if isinstance(module, torch.nn.ModuleList))
            hook = layers[-1].register_forward_hook(lambda *_: (hidden,))
            ids = torch.zeros(1, 1, 6, dtype=torch.long) if head.has_choices else torch.zeros(1, 6, dtype=torch.long)
            with torch.inference_mode():
                found = model(input_ids=ids)
            hook.remove()
            return [getattr(found, name) for name in encoder_of(model).outputs]

        same = all(map(torch.equal, outputs(states), outputs(changed)))
        assert same is head.reads_first_token, class_name
