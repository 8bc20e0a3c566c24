from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fwsvd_export import compress, densify
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import UnsupportedModelError
from tests.helpers import HEADS, words_of


def layers_of(model: Any) -> dict[str, Any]:
    return {layer.name: encoder_of(model).base.get_submodule(layer.name) for layer in encoder_of(model).layers}


@pytest.mark.parametrize("class_name", HEADS)
def test_the_plain_model_holds_the_products(
    class_name: str, make_head: Callable[..., Any], head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    original = make_head(class_name)
    small = compress(original, method="svd", rank=5)
    plain = densify(small)
    assert type(plain) is type(original)
    assert {name: tensor.shape for name, tensor in plain.state_dict().items()} == {
        name: tensor.shape for name, tensor in original.state_dict().items()
    }
    factors = layers_of(small)
    for name, layer in layers_of(plain).items():
        torch.testing.assert_close(layer.weight, factors[name].up.weight @ factors[name].down.weight)
        kept = factors[name].up.bias
        assert layer.bias is kept is None or torch.equal(layer.bias, kept)
    inputs = head_inputs(class_name)
    with torch.no_grad():
        for ours, theirs in zip(plain(**inputs).to_tuple(), small(**inputs).to_tuple(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", HEADS)
def test_factorised_word_embeddings_are_multiplied_out_too(
    class_name: str, tied: bool, make_head: Callable[..., Any], head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    original = make_head(class_name, tie_word_embeddings=tied)
    small = compress(original, method="svd", rank=5, embeddings=0.5)
    plain = densify(small)
    assert {name: tensor.shape for name, tensor in plain.state_dict().items()} == {
        name: tensor.shape for name, tensor in original.state_dict().items()
    }
    words, table = words_of(small), words_of(plain).weight
    torch.testing.assert_close(table, words.table.weight @ words.projection.weight.T)
    inputs = head_inputs(class_name)
    with torch.no_grad():
        for ours, theirs in zip(plain(**inputs).to_tuple(), small(**inputs).to_tuple(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    decoder = getattr(getattr(getattr(plain, "cls", None), "predictions", None), "decoder", None)
    if decoder is not None and not tied:
        assert torch.equal(decoder.weight, original.cls.predictions.decoder.weight)


def test_layers_that_stayed_dense_are_copied(make_head: Callable[..., Any]) -> None:
    original = make_head("BertModel")
    small = compress(original, method="svd", rank=20)  # 20 * (32 + 32) > 32 * 32, so only the wide layers shrink
    assert len(small.config.low_rank["ranks"]) == 4
    plain = layers_of(densify(small))
    for name, layer in layers_of(original).items():
        assert torch.equal(plain[name].weight, layer.weight) is (name not in small.config.low_rank["ranks"])


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining"])
def test_tied_weights_stay_tied(class_name: str, make_head: Callable[..., Any]) -> None:
    plain = densify(compress(make_head(class_name), method="svd", rank=5))
    assert plain.cls.predictions.decoder.weight is plain.bert.embeddings.word_embeddings.weight


def test_the_configuration_is_a_plain_one(make_head: Callable[..., Any]) -> None:
    original = make_head("BertForSequenceClassification", num_labels=3, attn_implementation="eager")
    settings = densify(compress(original, method="svd", rank=5)).config.to_dict()
    expected = original.config.to_dict()
    assert settings["model_type"] == "bert"
    assert settings["id2label"] == expected["id2label"]
    assert {"low_rank", "auto_map"}.isdisjoint(settings)


@pytest.mark.parametrize("training", [True, False])
def test_dtype_attention_and_mode_are_kept(training: bool, make_head: Callable[..., Any]) -> None:
    small = compress(make_head("BertModel", attn_implementation="eager"), method="svd", rank=5)
    plain = densify(small.to(torch.bfloat16).train(training))
    assert {tensor.dtype for tensor in plain.parameters()} == {torch.bfloat16}
    assert plain.config._attn_implementation == "eager"
    assert plain.training is training


def test_the_compressed_model_is_left_as_it_was(tiny_model: Any) -> None:
    small = compress(tiny_model, method="svd", rank=5)
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    plain = densify(small)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())


def test_a_dense_model_is_refused(tiny_model: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="BertForSequenceClassification is not compressed"):
        densify(tiny_model)
