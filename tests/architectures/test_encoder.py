"""The adapter: a model's layers, inputs and outputs in the words that all families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.architectures.registry import FAMILIES, any_family_of, encoder_of, family_of_class
from fwsvd_export.records import LayerSpec
from tests.helpers import HEADS

# Two layers, 32 wide, 64 in the feed-forward: written out, so that a change of names or shapes is seen
SHAPES = {
    "query": (32, 32),
    "key": (32, 32),
    "value": (32, 32),
    "attention_output": (32, 32),
    "intermediate": (64, 32),
    "output": (32, 64),
}


FUSED = {"query_key_value": (96, 32), "attention_output": (32, 32), "intermediate": (128, 32), "output": (32, 64)}
WORDS = {"modernbert": "embeddings.tok_embeddings"}
BERTS = (
    "encoder.layer.{}",
    "attention.self",
    "attention.self.query attention.self.key attention.self.value attention.output.dense intermediate.dense "
    "output.dense",
)
# Name of a layer, of the input that query, key and value share (None where none is shared), and of the linear layers
PATHS: dict[str, tuple[str, str | None, str]] = {
    "bert": BERTS,
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "electra", "esm"), BERTS),
    "mpnet": (
        "encoder.layer.{}",
        "attention.attn",
        "attention.attn.q attention.attn.k attention.attn.v attention.attn.o intermediate.dense output.dense",
    ),
    "deberta-v2": (
        "encoder.layer.{}",
        None,
        "attention.self.query_proj attention.self.key_proj attention.self.value_proj attention.output.dense "
        "intermediate.dense output.dense",
    ),
    "modernbert": ("layers.{}", None, "attn.Wqkv attn.Wo mlp.Wi mlp.Wo"),
    "distilbert": (
        "transformer.layer.{}",
        "attention",
        "attention.q_lin attention.k_lin attention.v_lin attention.out_lin ffn.lin1 ffn.lin2",
    ),
}


def expected_layers(model_type: str) -> tuple[LayerSpec, ...]:
    layer, attention, paths = PATHS[model_type]
    specs = []
    for index in range(2):
        start = layer.format(index)
        shapes = FUSED if model_type == "modernbert" else SHAPES
        for (role, shape), path in zip(shapes.items(), paths.split(), strict=True):
            reads = attention if attention is not None and role in ("query", "key", "value") else path
            specs.append(LayerSpec(f"{start}.{path}", *shape, role, f"{start}.{reads}"))
    return tuple(specs)


EXPECTED = expected_layers("bert")


@pytest.mark.parametrize("class_name", HEADS)
def test_dense_and_compressed_models_name_the_same_layers(class_name: str, make_head: Callable[..., Any]) -> None:
    dense = make_head(class_name)
    small = compress(dense, method="svd", rank=5)
    family = FAMILIES[dense.config.model_type]
    assert encoder_of(dense).layers == encoder_of(small).layers == expected_layers(family.model_type)
    assert type(small).__name__ == f"LowRank{class_name}"
    assert encoder_of(dense).dense_class_name == encoder_of(small).dense_class_name == class_name
    assert any_family_of(dense.config) is any_family_of(small.config) is family_of_class(class_name) is family


@pytest.mark.parametrize("class_name", HEADS)
def test_the_adapter_says_what_goes_in_and_what_comes_out(class_name: str, make_head: Callable[..., Any]) -> None:
    model = make_head(class_name)
    encoder = encoder_of(model)
    shape = (2, 3, 7) if encoder.head.has_choices else (2, 7)
    inputs = {name: torch.full(shape, encoder.ranges.get(name, 2) - 1) for name in encoder.inputs}
    with torch.no_grad():
        found = model(**inputs)
    assert list(found.keys()) == list(encoder.outputs)
    for name, axes in encoder.outputs.items():
        for axis, called in axes.items():
            assert found[name].shape[axis] == {"batch_size": 2, "num_choices": 3, "sequence_length": 7}[called]
    model_type = encoder.family.model_type
    assert encoder.usable_length == {"mpnet": 62}.get(model_type, 63 if encoder.family.positions_after_padding else 64)
    words, width = WORDS.get(model_type, "embeddings.word_embeddings"), 24 if model_type == "electra" else 32
    assert encoder.embedding == LayerSpec(words, 25, width, "embedding", "input_ids")
    assert encoder.ranges["input_ids"] == 25
    assert set(encoder.ranges) == set(encoder.inputs) - {"attention_mask"}


@pytest.mark.parametrize("class_name", HEADS)
def test_names_are_relative_to_the_base_model(class_name: str, make_head: Callable[..., Any]) -> None:
    encoder = encoder_of(make_head(class_name))
    assert type(encoder.base).__name__ == encoder.family.dense_name(encoder.family.heads[0])
    for layer in encoder.layers:
        assert tuple(encoder.module(layer.name).weight.shape) == (layer.out_features, layer.in_features)
        assert f"{encoder.prefix}{layer.name}.weight" in encoder.model.state_dict()


def test_only_query_key_and_value_share_their_input() -> None:
    shared: dict[str, list[str]] = {}
    for layer in EXPECTED:
        shared.setdefault(layer.reads, []).append(layer.role)
    assert [roles for roles in shared.values() if len(roles) > 1] == [["query", "key", "value"]] * 2
