"""ModernBERT (Warner et al. 2024, arXiv 2412.13663) in transformers' modules.

It normalises before attention and feed-forward part and has rotary positions, attention that is local in most layers,
query, key and value in one matrix, and gated neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypedDict

from msgspec import Meta

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.encoder_layer import EncoderLayer, Stage, unchanged
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.architectures.pre_norm import rotated
from fwsvd_export.storage.schema import Name, Positive, Share

if TYPE_CHECKING:
    from torch import Tensor, nn

_MOST_POSITIONS = 1_000_000  # transformers numbers them all
_WORDS = "embeddings.tok_embeddings"


class ModernBertSettings(TypedDict, total=False):
    """Settings of a ModernBERT beside its sizes."""

    max_position_embeddings: Annotated[int, Meta(ge=1, le=_MOST_POSITIONS, description=f"1 to {_MOST_POSITIONS}")]
    num_attention_heads: Positive
    hidden_activation: Name
    norm_eps: Share
    global_attn_every_n_layers: Positive
    local_attention: Positive
    attention_dropout: Share
    embedding_dropout: Share
    mlp_dropout: Share
    classifier_dropout: Share
    classifier_pooling: Literal["cls", "mean"]
    sparse_prediction: Annotated[bool, Meta(description="false")]


@dataclass(frozen=True)
class ModernBertNames:
    """Where the parts are in an encoder layer."""

    query_key_value: str = "attn.Wqkv"
    attention_output: str = "attn.Wo"
    intermediate: str = "mlp.Wi"
    output: str = "mlp.Wo"
    attention: str = "attn"
    attention_norm: str = "attn_norm"
    activation: str = "mlp.act"
    norm: str = "mlp_norm"


@dataclass(frozen=True)
class ModernBertLayer(EncoderLayer):
    """One encoder layer.

    Attributes:
        frequencies: of its rotary positions, (size / 2).
        window: how far a token looks to either side; None for everywhere.
    """

    roles: ClassVar[Mapping[str, bool]] = {
        "query_key_value": False,
        "attention_output": False,
        "intermediate": False,
        "output": False,
    }

    frequencies: Tensor
    window: int | None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Attention and feed-forward part; its neurons are gated in pairs, so that none is offered for removal."""
        name, before = self.linear_name, (self.part("attention_norm"), self.part("norm"))
        return (
            Stage((name("query_key_value"),), name("attention_output"), self._context, unchanged, entry=before[0]),
            Stage((name("intermediate"),), name("output"), self._gated, unchanged, entry=before[1]),
        )

    def _context(self, hidden: Tensor) -> Tensor:
        """What the attention hands to its output projection."""
        import torch  # late: who only asks for names does not wait for it
        from torch.nn import functional

        fused = self.part("query_key_value")(self.part("attention_norm")(hidden))
        query, key, value = fused.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key = (rotated(states, self.frequencies) for states in (query, key))
        mask = None
        if self.window is not None:
            places = torch.arange(hidden.shape[1], device=hidden.device)
            mask = (places[:, None] - places[None, :]).abs() <= self.window
        contexts = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return contexts.transpose(1, 2).flatten(2)

    def _gated(self, hidden: Tensor) -> Tensor:
        """What the feed-forward part hands to its output layer."""
        values, gate = self.part("intermediate")(self.part("norm")(hidden)).chunk(2, dim=-1)
        product: Tensor = self.part("activation")(values) * gate
        return product


class ModernBertEncoder(Encoder):
    """A ModernBERT with any head."""

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``Encoder``; positions are rotary, so that the embeddings need none."""
        hidden: Tensor = self.module("embeddings")(inputs[IDS])
        return hidden

    @property
    def defines_padding(self) -> bool:
        """As ``Encoder``: not where attention is local, and padding has nothing but padding around it."""
        return False

    @property
    def closing(self) -> nn.Module:
        """As ``Encoder``."""
        norm: nn.Module = self.module("final_norm")
        return norm

    @property
    def encoder_layers(self) -> Sequence[EncoderLayer]:
        """As ``Encoder``."""
        return tuple(self._layer(*numbered) for numbered in enumerate(self._places))

    def _layer(self, index: int, place: str) -> ModernBertLayer:
        """The n-th layer; transformers 5 has the frequencies of all layers in one place."""
        config: Any = self.model.config
        module, everywhere = self.module(place), index % config.global_attn_every_n_layers == 0
        if hasattr(self.base, "rotary_emb"):
            kind = config.layer_types[index]
            everywhere, frequencies = kind == "full_attention", getattr(self.module("rotary_emb"), f"{kind}_inv_freq")
        else:
            frequencies = module.attn.rotary_emb.inv_freq
        window = None if everywhere else config.local_attention // 2
        return ModernBertLayer(module, place, ModernBertNames(), config.num_attention_heads, frequencies, window)


MODERNBERT = Family(
    model_type="modernbert",
    prefix="ModernBert",
    endings={
        "Model": (),
        "ForMaskedLM": ("head", "decoder"),
        "ForSequenceClassification": ("head", "classifier"),
        "ForTokenClassification": ("head", "classifier"),
        "ForQuestionAnswering": ("head", "classifier"),
        "ForMultipleChoice": ("head", "classifier"),
    },
    has_pooler=False,
    inputs=(IDS, MASK),
    word_embeddings=_WORDS,
    layer="layers.{}",
    post_norm=None,
    layers_setting="num_hidden_layers",
    sizes=(
        Size("vocab_size", (f"{_WORDS}.weight", f"{_WORDS}.table.weight"), 0),
        Size("hidden_size", ("embeddings.norm.weight",), 0),
        Size("intermediate_size", ("layers.0.mlp.Wo.weight", "layers.0.mlp.Wo.down.weight"), 1),
    ),
    settings=ModernBertSettings,
    function_settings=(
        "hidden_activation",
        "norm_eps",
        "num_attention_heads",
        "global_attn_every_n_layers",
        "local_attention",
        "classifier_pooling",
    ),
    adapter=ModernBertEncoder,
    beside_layers=("final_norm",),
    tokenizer="PreTrainedTokenizerFast",
)
