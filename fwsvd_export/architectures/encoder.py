"""The adapter: everything the rest of the package needs to know of one loaded model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.heads import POOLED, Axes, Head
from fwsvd_export.architectures.inputs import IDS, POSITIONS
from fwsvd_export.architectures.post_norm import ROLES, PostNormLayer
from fwsvd_export.records import FeedForward, LayerSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One residual branch of an encoder layer: hidden -> norm(readout(inner(hidden)) + hidden).

    Hidden states are (sequences, length, width); sequences have no padding.

    Attributes:
        projections: names of the linear layers that read the hidden states.
        readout: name of the linear layer whose output is added to the hidden states.
        inner: what the readout reads.
        norm: what follows the addition.
        activation: of a feed-forward part, between its only projection and the readout; None for attention.
    """

    projections: tuple[str, ...]
    readout: str
    inner: Callable[[Tensor], Tensor]
    norm: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor] | None = None


class Encoder(ABC):
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
        return self.family.usable_length(int(self.model.config.max_position_embeddings))

    @cached_property
    def ranges(self) -> dict[str, int]:
        """Name of an input that is looked up in a table -> how many different values it may have."""
        return {IDS: self.embedding.out_features}

    @cached_property
    def embedding(self) -> LayerSpec:
        """The word embeddings as a layer of shape (vocabulary, width)."""
        name = self.family.word_embeddings
        table = self.module(name)
        return LayerSpec(name, table.num_embeddings, table.embedding_dim, "embedding", IDS)

    @cached_property
    def layers(self) -> tuple[LayerSpec, ...]:
        """Every compressible linear layer, first to last, in its dense shape."""
        specs = []
        for layer in self.post_norm_layers or ():
            for role in ROLES:
                linear = layer.part(role)
                specs.append(
                    LayerSpec(layer.linear_name(role), linear.out_features, linear.in_features, role, layer.reads(role))
                )
        return tuple(specs)

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
        return {IDS: ids, POSITIONS: torch.arange(ids.shape[1], device=ids.device).expand_as(ids)}

    @abstractmethod
    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The hidden states that enter the first layer, (sequences, length, width).

        Args:
            inputs: as ``per_token`` gives them; positions may be left out where they are those of whole sequences.
        """

    @property
    def post_norm_layers(self) -> tuple[PostNormLayer, ...] | None:
        """The encoder layers as post-norm layers; None for a family that is built otherwise.

        ``layers``, ``blocks`` and the exporter's rewritten encoder come from them.
        """
        names, config = self.family.post_norm, self.model.config
        if names is None:
            return None
        places = (self.family.layer.format(index) for index in range(config.num_hidden_layers))
        return tuple(PostNormLayer(self.module(place), place, names, config.num_attention_heads) for place in places)

    @property
    def blocks(self) -> tuple[tuple[Stage, ...], ...]:
        """The n-th encoder layer as its stages, in order; empty for a family that cannot be run layer by layer."""
        return tuple(_stages(layer) for layer in self.post_norm_layers or ())


def given_or(batch: Mapping[str, Any], name: str, default: Tensor) -> Tensor:
    """An input of a batch as (sequences, length), or the default of that shape where the batch has none."""
    values = batch.get(name)
    return default if values is None else values.reshape(-1, values.shape[-1]).expand_as(default)


def _stages(layer: PostNormLayer) -> tuple[Stage, ...]:
    name = layer.linear_name
    projections = tuple(name(role) for role, shares in ROLES.items() if shares)
    return (
        Stage(projections, name("attention_output"), layer.context, layer.part("attention_norm")),
        Stage((name("intermediate"),), name("output"), layer.activated, layer.part("norm"), layer.part("activation")),
    )
