"""The supported architectures, and the adapter of a loaded model."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.bert import BERT
from fwsvd_export.architectures.distilbert import DISTILBERT
from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family
from fwsvd_export.errors import UnsupportedModelError, shown

FAMILIES = {family.model_type: family for family in (BERT, DISTILBERT)}
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
        known = ", ".join(FAMILIES)
        raise UnsupportedModelError(f"architecture {shown(model_type)} is not supported; supported: {known}")
    check_variant(config)
    return FAMILIES[model_type]


def check_variant(config: Any) -> None:
    """Refuses what an architecture's configuration can ask for and the supported models do not have.

    Raises:
        UnsupportedModelError: relative positions, or a decoder.
    """
    position = getattr(config, "position_embedding_type", None) or "absolute"
    if position != "absolute":
        raise UnsupportedModelError(
            f"position_embedding_type {shown(position)} is not supported (transformers 5 dropped it); "
            "only 'absolute' is"
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UnsupportedModelError("a decoder is not supported; only encoders (is_decoder false) are")


def any_family_of(config: Any) -> Family:
    """The family of a dense or a compressed configuration; raises as ``family_of``."""
    low_rank = LOW_RANK_FAMILIES.get(str(getattr(config, "model_type", None)))
    if low_rank is None:
        return family_of(config)
    check_variant(config)
    return low_rank
