from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fwsvd_export import compress
from fwsvd_export.architectures.registry import BERT, any_family_of, base_of, compressible_layers, family_of
from fwsvd_export.errors import UnsupportedModelError
from fwsvd_export.records import LayerSpec

HEADS = [head.dense for head in BERT.heads]
# Two layers, 32 wide, 64 in the feed-forward: written out, so that a change of names or shapes is seen
EXPECTED = [
    LayerSpec(f"encoder.layer.{index}.{path}", out, into, role, f"encoder.layer.{index}.{reads}")
    for index in range(2)
    for path, out, into, role, reads in (
        ("attention.self.query", 32, 32, "query", "attention.self"),
        ("attention.self.key", 32, 32, "key", "attention.self"),
        ("attention.self.value", 32, 32, "value", "attention.self"),
        ("attention.output.dense", 32, 32, "attention_output", "attention.output.dense"),
        ("intermediate.dense", 64, 32, "intermediate", "intermediate.dense"),
        ("output.dense", 32, 64, "output", "output.dense"),
    )
]


@pytest.mark.parametrize("class_name", HEADS)
def test_dense_and_compressed_models_name_the_same_layers(class_name: str, make_head: Callable[..., Any]) -> None:
    dense = make_head(class_name)
    small = compress(dense, method="svd", rank=5)
    assert compressible_layers(dense) == compressible_layers(small) == EXPECTED
    assert type(small).__name__ == BERT.head(class_name).low_rank
    assert any_family_of(dense.config) is any_family_of(small.config) is BERT


@pytest.mark.parametrize("class_name", ["BertModel", "BertForTokenClassification"])
def test_names_are_relative_to_the_base_model(class_name: str, make_head: Callable[..., Any]) -> None:
    base = base_of(make_head(class_name))
    assert type(base).__name__ == "BertModel"
    for layer in EXPECTED:
        assert tuple(base.get_submodule(layer.name).weight.shape) == (layer.out_features, layer.in_features)


def test_only_query_key_and_value_share_their_input() -> None:
    shared: dict[str, list[str]] = {}
    for layer in EXPECTED:
        shared.setdefault(layer.reads, []).append(layer.role)
    assert [roles for roles in shared.values() if len(roles) > 1] == [["query", "key", "value"]] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "'unknown' is not supported; supported: bert"),
        ({"model_type": "roberta"}, "'roberta' is not supported; supported: bert"),
        ({"model_type": "lowrank_bert"}, "already compressed"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "'relative_key' is not supported"),
        ({"model_type": "bert", "is_decoder": True}, "decoder is not supported"),
        ({"model_type": "bert", "add_cross_attention": True}, "decoder is not supported"),
    ],
)
def test_family_of_refuses_what_cannot_be_compressed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        family_of(SimpleNamespace(**settings))


@pytest.mark.parametrize("position", [None, "absolute"])
def test_family_of_takes_configurations_of_every_transformers(position: str | None) -> None:
    assert family_of(SimpleNamespace(model_type="bert", position_embedding_type=position)) is BERT


def test_an_unknown_head_is_refused_with_the_supported_ones() -> None:
    with pytest.raises(UnsupportedModelError, match=r"BertLMHeadModel is not supported; .*BertForMaskedLM"):
        BERT.head("BertLMHeadModel")


def test_a_compressed_model_cannot_be_compressed_again(tiny_model: Any) -> None:
    small = compress(tiny_model, method="svd", rank=5)
    with pytest.raises(UnsupportedModelError, match="already compressed"):
        compress(small, method="svd", rank=3)
