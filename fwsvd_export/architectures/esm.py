"""ESM-2 (Lin et al. 2023, doi 10.1126/science.ade2574) in transformers' modules.

A BERT for proteins that normalises before attention and feed-forward part, with rotary positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from fwsvd_export.architectures.bert_shape import LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.encoder_layer import EncoderLayer, Stage, unchanged
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.architectures.post_norm import ROLES
from fwsvd_export.architectures.pre_norm import rotated

if TYPE_CHECKING:
    from torch import Tensor, nn

_MOST_POSITIONS = 1_000_000  # transformers numbers them all
_CLOSING = "encoder.emb_layer_norm_after"


class EsmSettings(BertSettings, total=False):
    """Settings of an ESM beside its sizes."""

    max_position_embeddings: Annotated[int, Meta(ge=1, le=_MOST_POSITIONS, description=f"1 to {_MOST_POSITIONS}")]
    position_embedding_type: Literal["rotary"]
    emb_layer_norm_before: bool | None
    token_dropout: bool | None
    mask_token_id: int | None
    is_folding_model: Literal[False]


@dataclass(frozen=True)
class EsmLayer(EncoderLayer):
    """One encoder layer; each of its norms stands before what it is named after."""

    roles = ROLES

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Attention and feed-forward part."""
        name = self.linear_name
        projections = tuple(name(role) for role, shares in ROLES.items() if shares)
        attention_norm, norm, gelu = self.part("attention_norm"), self.part("norm"), _gelu
        return (
            Stage(projections, name("attention_output"), self._context, unchanged, entry=attention_norm),
            Stage((name("intermediate"),), name("output"), self._activated, unchanged, activation=gelu, entry=norm),
        )

    def _context(self, hidden: Tensor) -> Tensor:
        """What the attention hands to its output projection."""
        from torch.nn import functional  # late: who only asks for names does not wait for torch

        read = self.part("attention_norm")(hidden)
        query, key, value = (
            self.part(role)(read).unflatten(-1, (self.heads, -1)).transpose(1, 2) for role in ("query", "key", "value")
        )
        query, key = (rotated(states, _frequencies(states.shape[-1])) for states in (query, key))
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    def _activated(self, hidden: Tensor) -> Tensor:
        """What the feed-forward part hands to its output layer."""
        return _gelu(self.part("intermediate")(self.part("norm")(hidden)))


def _gelu(values: Tensor) -> Tensor:
    """Gelu by the error function, as transformers' ESM computes it."""
    from torch.nn import functional  # late: who only asks for names does not wait for torch

    return functional.gelu(values)


def _frequencies(size: int) -> Tensor:
    """Radians per position, (size / 2)."""
    import torch  # late: who only asks for names does not wait for it

    return 10_000.0 ** -(torch.arange(0, size, 2) / size)


class EsmEncoder(Encoder):
    """An ESM with any head."""

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``Encoder``; positions are rotary, so that the embeddings need none."""
        hidden: Tensor = self.module("embeddings")(input_ids=inputs[IDS])
        return hidden

    @property
    def no_sequence(self) -> int | None:
        """As ``Encoder``: the mask token, where word vectors are scaled by the share of the others."""
        config = self.model.config
        return int(config.mask_token_id) if config.token_dropout else None

    @property
    def closing(self) -> nn.Module:
        """As ``Encoder``."""
        norm: nn.Module = self.module(_CLOSING)
        return norm

    @property
    def encoder_layers(self) -> Sequence[EncoderLayer]:
        """As ``Encoder``."""
        heads = self.model.config.num_attention_heads
        return tuple(EsmLayer(self.module(place), place, _NAMES, heads) for place in self._places)


# A norm stands before the part: the activation is no module
_NAMES = replace(LAYER_NAMES, attention_norm="attention.LayerNorm", norm="LayerNorm", activation="")
_kept = [size for size in SIZES if size.setting in ("vocab_size", "intermediate_size")]
ESM = Family(
    model_type="esm",
    prefix="Esm",
    endings={
        "Model": ("pooler",),
        "ForMaskedLM": ("lm_head",),
        "ForSequenceClassification": ("classifier.dense", "classifier.out_proj"),
        "ForTokenClassification": ("classifier",),
    },
    has_pooler=True,
    inputs=(IDS, MASK),
    word_embeddings=WORDS,
    layer="encoder.layer.{}",
    post_norm=None,
    layers_setting="num_hidden_layers",
    sizes=(*_kept, Size("hidden_size", (f"{_CLOSING}.weight",), 0)),
    settings=EsmSettings,
    function_settings=("layer_norm_eps", "num_attention_heads", "token_dropout", "mask_token_id"),
    adapter=EsmEncoder,
    positions="rotary",
    positions_after_padding=True,
    beside_layers=("contact_head", "rotary_embeddings"),
)
