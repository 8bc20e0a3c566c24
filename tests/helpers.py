"""Plain functions and tables that tests of several packages share; importable as ``tests.helpers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from fwsvd_export.architectures.registry import FAMILIES, encoder_of, family_of_class
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.records import RankRequest
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.workflows import demo_assets

WORDS = [
    "a", "the", "film", "movie", "plot", "cast", "good", "great", "fine", "bad",
    "poor", "dull", "is", "was", "very", "not", "and", "but", "never", "always",
]  # fmt: skip
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = len(SPECIAL) + len(WORDS)

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
# Configurations of two layers, 32 wide, 64 in the feed-forward, with weights of ordinary size: with the usual 0.02 a
# model this small predicts the same of everything. A new family adds its line.
TINY: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    **{name: {**SIZES, "pad_token_id": 0, "type_vocab_size": 1} for name in ("roberta", "xlm-roberta", "camembert")},
    "electra": {**SIZES, "embedding_size": 24},
    "mpnet": {**SIZES, "pad_token_id": 0},
    "deberta-v2": {
        **SIZES,
        "relative_attention": True,
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": {
        **SIZES,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "global_attn_every_n_layers": 2,
        "local_attention": 6,
    },
    "esm": {
        **SIZES,
        "pad_token_id": 0,
        "mask_token_id": 4,
        "position_embedding_type": "rotary",
        "token_dropout": True,
    },
}
SHARED = {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "initializer_range": 0.3}

# RoBERTa under other names: these classes stand for all of them
_SAME = ("xlm-roberta", "camembert")
_STANDING = ("Model", "ForMaskedLM", "ForSequenceClassification")
# Every dense class name of every family
HEADS = [
    family.dense_name(head)
    for family in FAMILIES.values()
    for head in family.heads
    if family.model_type not in _SAME or head.ending in _STANDING
]
# Those whose encoder is rewritten for export
FAST_HEADS = [name for name in HEADS if family_of_class(name).post_norm is not None]

# The bound of the sums in an int8 file, as export.json says it
BOUND = {
    "matrices": 24,
    "largest_pair_sum": 32_640,
    "limit": 32_767,
    "safe": True,
    "pairs": 1_327_104,
    "avoided_pairs": 2_048,
}


def heads_ending(*endings: str) -> list[str]:
    """The dense class names of all families with one of these endings."""
    return [name for name in HEADS if family_of_class(name).head(name).ending in endings]


def attentions_of(class_name: str) -> list[str]:
    """The ways in which the installed transformers computes the attention of a class."""
    return ["eager", "sdpa"] if getattr(transformers, class_name)._supports_sdpa else ["eager"]


def tiny_config(model_type: str = "bert", **changes: Any) -> Any:
    """A small configuration of a family; ``changes`` are settings under the family's own names."""
    config_class = FAMILIES[model_type].dense_config_class()
    return config_class(**{**SHARED, **TINY[model_type], **changes})


def tiny_head(class_name: str, **changes: Any) -> Any:
    """A small dense model of any class with the same weights every time: tiny_head("BertForMaskedLM")."""
    model_class = getattr(transformers, class_name)
    torch.manual_seed(0)
    return model_class(tiny_config(model_class.config_class.model_type, **changes)).eval()


# With an output layer tied to the word embeddings
TIED_HEADS = [name for name in heads_ending("ForMaskedLM", "ForPreTraining") if name != "ElectraForPreTraining"]


def decoder_of(model: Any) -> tuple[Any, torch.nn.Parameter | None]:
    """The output layer over the vocabulary of a dense or compressed language model, and its bias where it has one."""
    encoder = encoder_of(model)
    name, bias = encoder.family.low_rank_class(encoder.dense_class_name).tied_layer
    decoder = model.get_submodule(name)
    return decoder, model.get_parameter(bias) if bias else decoder.bias


def words_of(model: Any) -> Any:
    """The word embeddings of a dense or compressed model."""
    encoder = encoder_of(model)
    return encoder.module(encoder.embedding.name)


def inputs_of(model: Any, method: str, size: RankRequest, *others: Any) -> Inputs:
    """What ``compress_model`` and ``prepare`` take; ``others`` are statistics and calibration batches."""
    solver = SOLVERS[method]
    return Inputs(encoder_of(model), solver, solver.options(), size, *others)


def shrink_demo(patch: pytest.MonkeyPatch, model: Path, folder: Path) -> None:
    """Lets the demo work on a small model and few made-up sentences, written into a folder, in place of its assets."""
    from fwsvd_export.workflows import demo

    reviews = folder / "reviews.csv"
    sources = ["imdb", demo_assets.ROTTEN_TOMATOES]
    rows = [f"the {WORDS[place % len(WORDS)]} film,{place % 2},{sources[place % 4 > 0]}" for place in range(128)]
    reviews.write_text("\n".join(["text,label,source", *rows]) + "\n", encoding="utf-8")
    files = {demo_assets.MODEL: model / "model.safetensors", demo_assets.REVIEWS: reviews}
    patch.setattr(demo, "checked_asset", files.__getitem__)
    for name, value in {
        "TRAIN_ROWS": 48,
        "HELD_OUT_ROWS": 8,
        "TEST_ROWS": 32,
        "CALIBRATION_ROWS": 16,
        "LENGTHS": (4, 6),
    }.items():
        patch.setattr(demo, name, value)
