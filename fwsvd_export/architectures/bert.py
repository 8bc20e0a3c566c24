"""BERT (Devlin et al. 2019, arXiv 1810.04805) in transformers' modules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from fwsvd_export.architectures.encoder import Encoder, given_or
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.architectures.post_norm import PostNormNames
from fwsvd_export.storage.schema import Name, Positive, Share

if TYPE_CHECKING:
    from torch import Tensor

_TYPES = "token_type_ids"
WORDS = "embeddings.word_embeddings"


class BertSettings(TypedDict, total=False):
    """Settings of a BERT beside its sizes."""

    num_attention_heads: Positive
    hidden_act: Name
    layer_norm_eps: Share
    hidden_dropout_prob: Share
    attention_probs_dropout_prob: Share
    classifier_dropout: Share | None


class BertEncoder(Encoder):
    """A BERT with any head: it takes token types, and positions that a batch gives."""

    @cached_property
    def ranges(self) -> dict[str, int]:
        """Token ids and token types."""
        return {**super().ranges, _TYPES: int(self.model.config.type_vocab_size)}

    def per_token(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """As ``Encoder``, with token types."""
        import torch  # late: who only asks for names does not wait for it

        inputs = super().per_token(batch)
        return {**inputs, _TYPES: given_or(batch, _TYPES, torch.zeros_like(inputs[IDS]))}

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``Encoder``."""
        hidden: Tensor = self.module("embeddings")(**inputs)
        return hidden


# Also of the families that have its encoder under other class names
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

BERT = Family(
    model_type="bert",
    prefix="Bert",
    endings={
        "Model": ("pooler",),
        "ForMaskedLM": ("cls.predictions",),
        "ForSequenceClassification": ("pooler", "classifier"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("pooler", "classifier"),
        "ForNextSentencePrediction": ("pooler", "cls.seq_relationship"),
        "ForPreTraining": ("pooler", "cls.predictions", "cls.seq_relationship"),
    },
    has_pooler=True,
    inputs=("input_ids", "attention_mask", _TYPES),
    word_embeddings=WORDS,
    layer="encoder.layer.{}",
    post_norm=LAYER_NAMES,
    layers_setting="num_hidden_layers",
    sizes=SIZES,
    settings=BertSettings,
    function_settings=("hidden_act", "layer_norm_eps", "num_attention_heads"),
    adapter=BertEncoder,
)
