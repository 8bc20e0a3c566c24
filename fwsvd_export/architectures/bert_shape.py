"""What BERT and the families that have its encoder under other class names have in common."""

from __future__ import annotations

from typing import TypedDict

from fwsvd_export.architectures.family import Size
from fwsvd_export.architectures.post_norm import PostNormNames
from fwsvd_export.storage.schema import Name, Positive, Share

WORDS = "embeddings.word_embeddings"
LAYER_NAMES = PostNormNames(
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    intermediate="intermediate.dense",
    output="output.dense",
    attention="attention.self",
    attention_norm="attention.output.LayerNorm",
    activation="intermediate.intermediate_act_fn",
    norm="output.LayerNorm",
)
SIZES = (
    Size("vocab_size", (f"{WORDS}.weight", f"{WORDS}.table.weight"), 0),
    Size("hidden_size", ("embeddings.position_embeddings.weight",), 1),
    Size("max_position_embeddings", ("embeddings.position_embeddings.weight",), 0),
    Size("type_vocab_size", ("embeddings.token_type_embeddings.weight",), 0),
    Size(
        "intermediate_size",
        ("encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.intermediate.dense.up.weight"),
        0,
        "encoder.layer.0.intermediate.dense",
    ),
)
# What the weights do not tell
FUNCTION_SETTINGS = ("hidden_act", "layer_norm_eps", "num_attention_heads")


class BertSettings(TypedDict, total=False):
    """Settings of such a model beside its sizes."""

    num_attention_heads: Positive
    hidden_act: Name
    layer_norm_eps: Share
    hidden_dropout_prob: Share
    attention_probs_dropout_prob: Share
    classifier_dropout: Share | None
