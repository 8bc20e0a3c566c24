"""The supported architectures, and the adapter of a loaded model."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.bert import BERT
from fwsvd_export.architectures.deberta import DEBERTA_V2
from fwsvd_export.architectures.distilbert import DISTILBERT
from fwsvd_export.architectures.electra import ELECTRA
from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.esm import ESM
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.modernbert import MODERNBERT
from fwsvd_export.architectures.mpnet import MPNET
from fwsvd_export.architectures.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from fwsvd_export.errors import UnsupportedModelError, shown

_KNOWN = (BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, MPNET, DEBERTA_V2, MODERNBERT, ESM)
FAMILIES = {family.model_type: family for family in _KNOWN}
LOW_RANK_FAMILIES = {family.low_rank_type: family for family in FAMILIES.values()}


def encoder_of(model: Any, embed: Embed = mean_pooled) -> Encoder:
    """The adapter of a dense or compressed model; make it once and hand it on.

    Args:
        model: of transformers.
        embed: how hidden states become an embedding, which is what a bare encoder predicts.

    Raises:
        UnsupportedModelError: an unknown architecture or head.
    """
    family = any_family_of(model.config)
    return family.adapter(model, family, family.head(type(model).__name__), embed)


def dense_encoder_of(model: Any) -> Encoder:
    """As ``encoder_of``, for a model that is to be compressed.

    Raises:
        UnsupportedModelError: likewise, or a model that is already compressed.
    """
    family = family_of(model.config)
    return family.adapter(model, family, family.head(type(model).__name__))


def family_of_class(class_name: str) -> Family:
    """The family of a dense or compressed model class.

    Raises:
        UnsupportedModelError: no family has a class of this name.
    """
    for family in FAMILIES.values():
        if any(class_name in (family.dense_name(head), family.low_rank_name(head)) for head in family.heads):
            return family
    raise UnsupportedModelError(f"{shown(class_name)[1:-1]} is not a class of {', '.join(FAMILIES)}")


# Settings of what is more than an encoder, and what to call it; and how classes of such models end
_DECODERS = {
    "is_encoder_decoder": "an encoder with a decoder",
    "is_decoder": "a decoder",
    "add_cross_attention": "cross-attention",
}
_DECODER_CLASSES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def family_of(config: Any) -> Family:
    """The family of a dense configuration.

    Raises:
        UnsupportedModelError: an unknown architecture (the message lists the known ones), one that is already
            compressed, or a variant that newer transformers versions cannot load.
    """
    model_type = str(getattr(config, "model_type", "unknown"))
    if model_type in LOW_RANK_FAMILIES:
        raise UnsupportedModelError(
            f"this model is already compressed ({model_type}): compress the dense model it was made from again, "
            "with the size you want"
        )
    if model_type not in FAMILIES:
        _check_encoder(config)
        for name in getattr(config, "architectures", None) or ():
            if str(name).endswith(_DECODER_CLASSES):
                raise UnsupportedModelError(
                    f"{shown(str(name))[1:-1]} is a decoder and not supported; only encoders are"
                )
        known = ", ".join(FAMILIES)
        raise UnsupportedModelError(
            f"architecture {shown(model_type)} is not supported; supported: {known}; a new one needs a file in "
            "fwsvd_export/architectures and a row in its registry.py (docs/families.md)"
        )
    check_variant(config, FAMILIES[model_type])
    return FAMILIES[model_type]


def check_variant(config: Any, family: Family) -> None:
    """Refuses what an architecture's configuration can ask for and the supported models do not have.

    Args:
        config: dense or compressed.
        family: of the configuration.

    Raises:
        UnsupportedModelError: relative positions, a decoder, cross-attention, or quantized weights.
    """
    position = getattr(config, "position_embedding_type", None) or family.positions
    if position != family.positions:
        raise UnsupportedModelError(
            f"position_embedding_type {shown(position)} is not supported (transformers 5 dropped it); "
            f"only '{family.positions}' is"
        )
    _check_encoder(config)
    quantized = getattr(config, "quantization_config", None)
    if quantized:
        method = (
            quantized.get("quant_method") if isinstance(quantized, dict) else getattr(quantized, "quant_method", None)
        )
        how = f" by {shown(str(getattr(method, 'value', method)))[1:-1]}" if method else ""
        raise UnsupportedModelError(
            f"a model quantized{how} is not supported, its weights have to be float32, float16 or bfloat16; compress "
            "the model that it was quantized from"
        )


def _check_encoder(config: Any) -> None:
    """Refuses what has a decoder by its settings."""
    for setting, kind in _DECODERS.items():
        if getattr(config, setting, False):
            raise UnsupportedModelError(f"{kind} ({setting} true) is not supported; only encoders are")


def any_family_of(config: Any) -> Family:
    """The family of a dense or a compressed configuration; raises as ``family_of``."""
    low_rank = LOW_RANK_FAMILIES.get(str(getattr(config, "model_type", None)))
    if low_rank is None:
        return family_of(config)
    check_variant(config, low_rank)
    return low_rank
