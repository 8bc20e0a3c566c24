"""The adapter: everything the rest of the package needs to know of one loaded model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.encoder_layer import EncoderLayer, Stage
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.heads import POOLED, Axes, Head
from fwsvd_export.architectures.inputs import IDS, POSITIONS, TYPES
from fwsvd_export.architectures.post_norm import PostNormLayer
from fwsvd_export.records import FeedForward, LayerSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Encoder:
    """One loaded model, dense or compressed, in the words that all families share.

    The methods here are for a model that takes token ids and a mask and counts positions from 0; a family's file
    overrides what is different there.

    Args:
        model: of transformers, with a head or without.
        family: of the model.
        head: of the model.
        embed: how hidden states become an embedding, which is what a bare encoder predicts.

    Attributes:
        base: the encoder inside a model with a head, or the model itself.
    """

    def __init__(self, model: Any, family: Family, head: Head, embed: Embed = mean_pooled) -> None:
        self.model = model
        self.family = family
        self.head = head
        self.embed = embed
        self.base: nn.Module = getattr(model, "base_model", model)

    def module(self, name: str) -> Any:
        """A module by its name relative to the base model."""
        return self.base.get_submodule(name)

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def prefix(self) -> str:
        """What stands before the base model's names in the model's state: ``bert.`` with a head, nothing without."""
        return "" if self.base is self.model else f"{self.model.base_model_prefix}."

    @property
    def dense_class_name(self) -> str:
        """Transformers' class name, also of a compressed model."""
        return self.family.dense_name(self.head)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the model takes beside labels, in the order of an exported graph."""
        return self.family.inputs

    @property
    def outputs(self) -> dict[str, Axes]:
        """The model's outputs by name, with their free axes, in order."""
        rows = self.head.outputs
        return {name: axes for name, axes in rows.items() if name != POOLED or self.family.has_pooler}

    @property
    def usable_length(self) -> int:
        """Tokens at most in one sequence."""
        return self.family.usable_length(self.model.config)

    @property
    def positions(self) -> int:
        """How many different positions a token may be given."""
        return int(self.model.config.max_position_embeddings)

    @cached_property
    def ranges(self) -> dict[str, int]:
        """Name of an input that is looked up in a table -> how many different values it may have."""
        words = {IDS: self.embedding.out_features}
        return {**words, TYPES: int(self.model.config.type_vocab_size)} if TYPES in self.inputs else words

    @cached_property
    def embedding(self) -> LayerSpec:
        """The word embeddings as a layer of shape (vocabulary, width)."""
        name = self.family.word_embeddings
        table = self.module(name)
        return LayerSpec(name, table.num_embeddings, table.embedding_dim, "embedding", IDS)

    @cached_property
    def layers(self) -> tuple[LayerSpec, ...]:
        """Every compressible linear layer, first to last, in its dense shape."""
        return tuple(_spec(layer, role) for layer in self.encoder_layers for role in layer.roles)

    @property
    def no_sequence(self) -> int | None:
        """Id of a token that alone makes no sequence: a model divides by how many others there are."""
        return None

    @property
    def defines_padding(self) -> bool:
        """Whether hidden states of padding are the same in every way to compute the attention."""
        return True

    @property
    def repeated(self) -> frozenset[str]:
        """Names of layers that read something beside hidden states in every forward pass, by a call of their own."""
        return frozenset()

    @property
    def feed_forwards(self) -> tuple[FeedForward, ...]:
        """Every encoder layer's feed-forward part, first to last; empty for a family without stages."""
        by_name = {layer.name: layer for layer in self.layers}
        stages = (stage for block in self.blocks for stage in block if stage.activation is not None)
        return tuple(FeedForward(by_name[stage.projections[0]], by_name[stage.readout]) for stage in stages)

    def per_token(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What ``entering`` takes, (sequences, length) each, with positions as the family counts them.

        Args:
            batch: ``input_ids`` and whatever else the model takes; the choices of a multiple-choice example are
                sequences of their own.
        """
        import torch  # late: who only asks for names does not wait for it

        ids = batch[IDS].reshape(-1, batch[IDS].shape[-1])
        if self.family.positions_after_padding:
            padding = self.module("embeddings").padding_idx
            kept = (ids != padding).long()
            positions = kept.cumsum(dim=1) * kept + padding
        else:
            positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        inputs = {IDS: ids, POSITIONS: given_or(batch, POSITIONS, positions)}
        if TYPES in self.family.inputs:
            inputs[TYPES] = given_or(batch, TYPES, torch.zeros_like(ids))
        return inputs

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The hidden states that enter the first layer, (sequences, length, width).

        Args:
            inputs: as ``per_token`` gives them; positions may be left out where they are those of whole sequences.
        """
        hidden: Tensor = self.module("embeddings")(**inputs)
        return hidden

    @property
    def closing(self) -> nn.Module | None:
        """The norm behind the last encoder layer, of a family whose layers do not end with one."""
        return None

    def attention_bias(self, hidden: Tensor) -> Tensor | None:
        """What is added to the scores of all heads in every layer, (1, heads, length, length); None for nothing."""
        return None

    @property
    def post_norm_layers(self) -> tuple[PostNormLayer, ...] | None:
        """The encoder layers as post-norm layers; None for a family that is built otherwise.

        The exporter's rewritten encoder comes from them.
        """
        names, config = self.family.post_norm, self.model.config
        if names is None:
            return None
        bias = self.attention_bias if self.family.has_attention_bias else None
        heads = config.num_attention_heads
        return tuple(PostNormLayer(self.module(place), place, names, heads, bias) for place in self._places)

    @property
    def encoder_layers(self) -> Sequence[EncoderLayer]:
        """The encoder layers; ``layers`` and ``blocks`` come from them."""
        return self.post_norm_layers or ()

    @property
    def _places(self) -> tuple[str, ...]:
        """Names of the encoder layers."""
        return tuple(map(self.family.layer.format, range(self.model.config.num_hidden_layers)))

    @property
    def blocks(self) -> tuple[tuple[Stage, ...], ...]:
        """The n-th encoder layer as its stages, in order."""
        return tuple(layer.stages for layer in self.encoder_layers)


def given_or(batch: Mapping[str, Any], name: str, default: Tensor) -> Tensor:
    """An input of a batch as (sequences, length), or the default of that shape where the batch has none."""
    values = batch.get(name)
    return default if values is None else values.reshape(-1, values.shape[-1]).expand_as(default)


def _spec(layer: EncoderLayer, role: str) -> LayerSpec:
    linear = layer.part(role)
    return LayerSpec(layer.linear_name(role), linear.out_features, linear.in_features, role, layer.reads(role))
