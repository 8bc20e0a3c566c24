"""DeBERTa-v2 and v3 (He et al. 2021, arXiv 2006.03654 and 2111.09543) in transformers' modules.

BERT whose attention compares tokens with distances too. Where it shares its projections, query and key read the table
of distances as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from fwsvd_export.architectures.bert_shape import LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.encoder_layer import EncoderLayer, Stage
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.inputs import IDS, MASK, TYPES
from fwsvd_export.architectures.post_norm import PostNormLayer
from fwsvd_export.storage.schema import Name

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 100_000  # rows of the table of distances, and positions, which transformers numbers all
_Distances = Annotated[int, Meta(ge=-1, le=_MOST, description=f"-1 to {_MOST}")]


class DebertaSettings(BertSettings, total=False):
    """Settings of a DeBERTa beside its sizes."""

    max_position_embeddings: Annotated[int, Meta(ge=1, le=_MOST, description=f"1 to {_MOST}")]
    type_vocab_size: Annotated[int, Meta(ge=0, le=_MOST, description=f"0 to {_MOST}")]
    relative_attention: bool
    share_att_key: bool
    position_buckets: _Distances
    max_relative_positions: _Distances
    position_biased_input: bool
    norm_rel_ebd: Name
    pooler_hidden_act: Name
    conv_kernel_size: Annotated[int, Meta(ge=0, le=0, description="0: the convolution of the XL models is not read")]
    legacy: Literal[True]


@dataclass(frozen=True)
class DebertaLayer(PostNormLayer):
    """One encoder layer.

    Attributes:
        attend: what enters the layer -> what its own attention makes of it.
        distances: length of a sequence -> the rows of the table of distances that it uses, (rows, hidden); None where
            query and key do not read it.
    """

    attend: Callable[[Any, Tensor], Tensor] | None = None
    distances: Callable[[int], Tensor] | None = None

    def reads(self, role: str) -> str:
        """As ``EncoderLayer``; with distances beside the hidden states, each projection uses rows of its own."""
        return super().reads(role) if self.distances is None else self.linear_name(role)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """As ``PostNormLayer``."""
        attention, feed_forward = super().stages
        if self.distances is None:
            return attention, feed_forward
        beside = tuple((self.linear_name(role), self.distances) for role in ("query", "key"))
        return replace(attention, beside=beside), feed_forward

    def context(self, hidden: Tensor) -> Tensor:
        """As ``PostNormLayer``."""
        assert self.attend is not None, "the adapter gives it"
        return self.attend(self.part("attention"), hidden)


class DebertaEncoder(Encoder):
    """A DeBERTa with any head."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """As ``Encoder``; token types that nobody looks up would not be in an exported graph."""
        return tuple(name for name in self.family.inputs if name != TYPES or self.model.config.type_vocab_size)

    @property
    def repeated(self) -> frozenset[str]:
        """As ``Encoder``: query and key read distances too, where they have no projections of their own."""
        if not self._shares:
            return frozenset()
        return frozenset(layer.linear_name(role) for layer in self.encoder_layers for role in ("query", "key"))

    @property
    def encoder_layers(self) -> Sequence[EncoderLayer]:
        """As ``Encoder``."""
        heads, distances = self.model.config.num_attention_heads, self._distances if self._shares else None
        return tuple(
            DebertaLayer(self.module(place), place, _NAMES, heads, None, self._attend, distances)
            for place in self._places
        )

    @property
    def _shares(self) -> bool:
        config = self.model.config
        return bool(config.relative_attention and config.share_att_key)

    def _attend(self, attention: Any, hidden: Tensor) -> Tensor:
        """The attention of transformers, over sequences without padding."""
        import torch  # late: who only asks for names does not wait for it

        encoder: Any = self.module("encoder")
        mask = torch.ones(len(hidden), 1, *[hidden.shape[1]] * 2, device=hidden.device)
        table = encoder.get_rel_embedding()
        contexts: Tensor = attention(hidden, mask, relative_pos=encoder.get_rel_pos(hidden), rel_embeddings=table)[0]
        return contexts

    def _distances(self, length: int) -> Tensor:
        """The rows of the table of distances that a sequence of so many tokens uses."""
        import torch  # late: who only asks for names does not wait for it

        encoder: Any = self.module("encoder")
        table: Tensor = encoder.get_rel_embedding()
        found = encoder.get_rel_pos(torch.empty(1, length, 1, device=table.device)).unique().long()
        half = len(table) // 2
        return table[torch.cat([found + half, half - found]).clamp(0, len(table) - 1).unique()]


_NAMES = replace(
    LAYER_NAMES,
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
)
_kept = [size for size in SIZES if size.setting in ("vocab_size", "intermediate_size")]
DEBERTA_V2 = Family(
    model_type="deberta-v2",
    prefix="DebertaV2",
    endings={
        "Model": (),
        "ForMaskedLM": ("cls.predictions",),
        "ForSequenceClassification": ("pooler", "classifier"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("pooler", "classifier"),
    },
    has_pooler=False,
    inputs=(IDS, MASK, TYPES),
    word_embeddings=WORDS,
    layer="encoder.layer.{}",
    post_norm=None,
    layers_setting="num_hidden_layers",
    sizes=(*_kept, Size("hidden_size", ("embeddings.LayerNorm.weight",), 0)),
    settings=DebertaSettings,
    function_settings=(
        "hidden_act",
        "layer_norm_eps",
        "num_attention_heads",
        "relative_attention",
        "share_att_key",
        "pos_att_type",
        "position_buckets",
        "max_relative_positions",
        "norm_rel_ebd",
    ),
    adapter=DebertaEncoder,
)
