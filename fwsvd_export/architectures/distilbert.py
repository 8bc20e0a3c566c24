"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108) in transformers' modules: BERT without token types and pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.inputs import IDS, POSITIONS
from fwsvd_export.architectures.post_norm import PostNormNames
from fwsvd_export.storage.schema import Name, Positive, Share

if TYPE_CHECKING:
    from torch import Tensor

_WORDS = "embeddings.word_embeddings"


class DistilBertSettings(TypedDict, total=False):
    """Settings of a DistilBERT beside its sizes."""

    n_heads: Positive
    activation: Name
    dropout: Share
    attention_dropout: Share
    qa_dropout: Share
    seq_classif_dropout: Share
    sinusoidal_pos_embds: bool | None


class DistilBertEncoder(Encoder):
    """A DistilBERT with any head."""

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``Encoder``; transformers 4 gives the embeddings no way to take positions, so they are added here."""
        embeddings = self.module("embeddings")
        hidden: Tensor
        if POSITIONS in inputs:
            positions = embeddings.position_embeddings(inputs[POSITIONS])
            hidden = embeddings.LayerNorm(embeddings.word_embeddings(inputs[IDS]) + positions)
        else:
            hidden = embeddings(inputs[IDS])
        return hidden


DISTILBERT = Family(
    model_type="distilbert",
    prefix="DistilBert",
    endings={
        "Model": (),
        "ForMaskedLM": ("vocab_transform", "vocab_layer_norm", "vocab_projector"),
        "ForSequenceClassification": ("pre_classifier", "classifier"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("pre_classifier", "classifier"),
    },
    has_pooler=False,
    inputs=("input_ids", "attention_mask"),
    word_embeddings=_WORDS,
    layer="transformer.layer.{}",
    post_norm=PostNormNames(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        intermediate="ffn.lin1",
        output="ffn.lin2",
        attention="attention",
        attention_norm="sa_layer_norm",
        activation="ffn.activation",
        norm="output_layer_norm",
    ),
    layers_setting="n_layers",
    sizes=(
        Size("vocab_size", (f"{_WORDS}.weight", f"{_WORDS}.table.weight"), 0),
        Size("dim", ("embeddings.position_embeddings.weight",), 1),
        Size("max_position_embeddings", ("embeddings.position_embeddings.weight",), 0),
        Size(
            "hidden_dim",
            ("transformer.layer.0.ffn.lin1.weight", "transformer.layer.0.ffn.lin1.up.weight"),
            0,
            "transformer.layer.0.ffn.lin1",
        ),
    ),
    settings=DistilBertSettings,
    function_settings=("activation", "n_heads"),
    adapter=DistilBertEncoder,
)
