from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import GPTQConfig

from fwsvd_export import compress
from fwsvd_export.architectures.registry import BERT, family_of, family_of_class
from fwsvd_export.errors import UnsupportedModelError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "'unknown' is not supported; supported: bert, "),
        ({"model_type": "albert"}, "'albert' is not supported; supported: bert, "),
        ({"model_type": "lowrank_bert"}, "already compressed"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "'relative_key' is not supported"),
        (
            {"model_type": "bert", "is_decoder": True},
            r"a decoder \(is_decoder true\) is not supported; only encoders are",
        ),
        (
            {"model_type": "roberta", "add_cross_attention": True},
            r"cross-attention \(add_cross_attention true\) is not",
        ),
        (
            {"model_type": "bert", "is_encoder_decoder": True},
            r"an encoder with a decoder \(is_encoder_decoder true\) is",
        ),
        ({"model_type": "t5", "is_encoder_decoder": True}, r"an encoder with a decoder \(is_encoder_decoder true\) is"),
        (
            {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
            "GPT2LMHeadModel is a decoder and not supported",
        ),
        (
            {"model_type": "bert", "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "a model quantized by bitsandbytes is not supported, its weights have to be float32, float16 or bfloat16; "
            "compress the model that it was quantized from",
        ),
        ({"model_type": "modernbert", "quantization_config": GPTQConfig(bits=4)}, "a model quantized by gptq is not"),
        ({"model_type": "esm", "quantization_config": {"bits": 4}}, "a model quantized is not supported"),
    ],
)
def test_family_of_refuses_what_cannot_be_compressed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        family_of(SimpleNamespace(**settings))


@pytest.mark.parametrize("position", [None, "absolute"])
def test_family_of_takes_configurations_of_every_transformers(position: str | None) -> None:
    assert family_of(SimpleNamespace(model_type="bert", position_embedding_type=position)) is BERT


def test_an_unknown_class_is_refused_with_the_known_families() -> None:
    with pytest.raises(UnsupportedModelError, match="Gpt9Model is not a class of bert, "):
        family_of_class("Gpt9Model")


def test_a_compressed_model_cannot_be_compressed_again(tiny_model: Any) -> None:
    small = compress(tiny_model, method="svd", rank=5)
    with pytest.raises(UnsupportedModelError, match="already compressed"):
        compress(small, method="svd", rank=3)
