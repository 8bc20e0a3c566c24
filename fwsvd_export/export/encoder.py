"""A post-norm encoder as onnxruntime runs it fastest: the same function as transformers' own, for export alone.

All of it is standard ONNX. Query, key and value start with one packed product, shapes are constants where they can
be, and what ``projections`` merges needs no transposition. onnxruntime fuses the rest (Gelu with its bias, scores with
their transposition) when it opens the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.architectures.post_norm import PostNormLayer
from fwsvd_export.errors import ExportError
from fwsvd_export.export.first_token import FirstTokenAttention
from fwsvd_export.export.projections import (
    Attention,
    Chain,
    Projection,
    carrying_bias,
    fast_attention,
    lean_attention,
    linear,
)


class _Reshape(torch.autograd.Function):
    """(batch, …) in another shape that keeps the batch; one node with a constant, where torch would export eight."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        return tensor.reshape(len(tensor), *shape)

    @staticmethod
    def symbolic(graph: Any, tensor: Any, shape: tuple[int, ...]) -> Any:
        return graph.op("Reshape", tensor, graph.op("Constant", value_t=torch.tensor([0, *shape])))


def _reshaped(tensor: Tensor, *shape: int) -> Tensor:
    found: Tensor = _Reshape.apply(tensor, shape)  # type: ignore[no-untyped-call]
    return found


class _Shift(nn.Module):
    """Adds a vector."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states + self.bias


class _SelfAttention(nn.Module):
    """Scores, softmax and contexts.

    Args:
        attention: its projections.
        heads: how many.
        carry_limit: as for ``projections.carrying_bias``.
    """

    def __init__(self, attention: Attention, heads: int, carry_limit: float) -> None:
        super().__init__()
        self._heads = heads
        self._shares_key, self._shares_value = attention.shares_key, attention.shares_value
        constant, query = carrying_bias(attention.query, carry_limit)
        parts = (query, attention.key, attention.value)
        firsts = [part.weights[0] for part in parts]
        self._sizes = [len(first) for first in firsts]
        packed = None if constant is None else nn.functional.pad(constant, (0, sum(self._sizes[1:])))
        self.packed = linear(torch.cat(firsts), packed)
        self.query, self.key, self.value = (_rest(part) for part in parts)
        # Per head; numbers, where a shape asked for while tracing would become nodes
        self._query_size = attention.query.width // heads
        self._value_size = attention.value.width // (1 if attention.shares_value else heads)

    def forward(self, hidden_states: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        query, key, value = torch.split(self.packed(hidden_states), self._sizes, -1)
        query, key, value = self.query(query), self.key(key), self.value(value)
        if self._shares_key:  # the last number of every query is 1
            key = torch.cat([key, mask.unsqueeze(-1)], -1)
        if self._shares_key and self._shares_value:  # (batch, length · heads, …) against (batch, length, …)
            scores = _reshaped(query, -1, self._query_size) @ key.transpose(1, 2)
            if bias is not None:
                scores = scores + bias.transpose(1, 2).flatten(1, 2)
            return _reshaped(scores.softmax(-1) @ value, -1, self._heads * self._value_size)
        query = self._by_head(query, self._query_size)
        key = key.unsqueeze(1) if self._shares_key else self._by_head(key, self._query_size)
        value = value.unsqueeze(1) if self._shares_value else self._by_head(value, self._value_size)
        scores = query @ key.transpose(2, 3)  # (batch, heads, length, length)
        if not self._shares_key:
            scores = scores + mask[:, None, None, :]
        if bias is not None:
            scores = scores + bias
        contexts = (scores.softmax(-1) @ value).transpose(1, 2)
        return _reshaped(contexts, -1, self._heads * self._value_size)

    def _by_head(self, states: Tensor, size: int) -> Tensor:
        """(batch, length, heads · size) -> (batch, heads, length, size)."""
        return _reshaped(states, -1, self._heads, size).transpose(1, 2)


def _rest(projection: Projection) -> nn.Module:
    """What is left of a projection behind its first weight."""
    if len(projection.weights) == 2:
        return linear(projection.weights[1], projection.bias)
    return nn.Identity() if projection.bias is None else _Shift(projection.bias)


class _Layer(nn.Module):
    """Attention and feed-forward, each with its residual and norm.

    Args:
        layer: of the model.
        carry_limit: as for ``projections.carrying_bias``.
        first_alone: whether the hidden state of the first token is all that comes out.
    """

    def __init__(self, layer: PostNormLayer, carry_limit: float, first_alone: bool) -> None:
        super().__init__()
        self._first_alone = first_alone
        query, key, value, output = (
            Projection.of(layer.part(role)) for role in ("query", "key", "value", "attention_output")
        )
        rewrite, attend = (lean_attention, FirstTokenAttention) if first_alone else (fast_attention, _SelfAttention)
        attention = rewrite(query, key, value, output, layer.heads)
        self.attention = attend(attention, layer.heads, carry_limit)
        self.attention_output = Chain(attention.output, carry_limit)
        self.attention_norm = layer.part("attention_norm")
        self.intermediate = Chain(Projection.of(layer.part("intermediate")), carry_limit)
        self.activation = layer.part("activation")
        self.output = Chain(Projection.of(layer.part("output")), carry_limit)
        self.norm = layer.part("norm")

    def forward(self, hidden_states: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        attended = self.attention_output(self.attention(hidden_states, mask, bias))
        if self._first_alone:
            hidden_states = hidden_states[:, :1]
        hidden_states = self.attention_norm(attended + hidden_states)
        return self.norm(self.output(self.activation(self.intermediate(hidden_states))) + hidden_states)  # type: ignore[no-any-return]


class _Layers(nn.Module):
    """All layers, in a list of the name that the family gives it."""

    def __init__(self, layers: Sequence[PostNormLayer], list_name: str, carry_limit: float, first_alone: bool) -> None:
        super().__init__()
        self._list_name = list_name
        *others, last = layers
        made = [_Layer(layer, carry_limit, first_alone=False) for layer in others]
        self.add_module(list_name, nn.ModuleList([*made, _Layer(last, carry_limit, first_alone)]))

    def forward(self, hidden_states: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        layers: Any = self.get_submodule(self._list_name)
        for layer in layers:
            hidden_states = layer(hidden_states, mask, bias)
        return hidden_states


class FastBase(nn.Module):
    """Takes the place of a base model in evaluation mode, dense or factorised.

    Its modules have the names that they have in the base model, so that the graph's nodes are named after them. Under a
    head that reads the first token alone, the last layer gives the hidden state of that token and no other.

    Args:
        encoder: of the model; its embeddings, norms and activations are shared, its weights are not changed.
        carry_limit: how large an up factor may be that carries its bias (``projections.carrying_bias``).

    Raises:
        ExportError: the family has no post-norm layers.
    """

    def __init__(self, encoder: Encoder, carry_limit: float) -> None:
        super().__init__()
        layers = encoder.post_norm_layers
        if layers is None:
            raise ExportError(f"{encoder.dense_class_name} has no layers that can be rewritten for export")
        for name, child in encoder.base.named_children():
            self.add_module(name, child)
        self._container, list_name, _ = encoder.family.layer.split(".")
        first_alone = encoder.head.reads_first_token
        self.add_module(self._container, _Layers(layers, list_name, carry_limit, first_alone))
        self._entering, self._bias = encoder.entering, encoder.attention_bias

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **inputs: Any) -> Any:
        """As a head calls it.

        Args:
            input_ids: (batch, length).
            attention_mask: (batch, length), 1 where there is a token.
            inputs: what else the model takes; None and switches, which heads pass too, do not count.
        """
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        others = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
        hidden_states = self._entering({IDS: input_ids, **others})
        mask = (1 - attention_mask.to(hidden_states.dtype)) * torch.finfo(hidden_states.dtype).min
        hidden_states = self.get_submodule(self._container)(hidden_states, mask, self._bias(hidden_states))
        pooler: Any = getattr(self, "pooler", None)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden_states, pooler_output=None if pooler is None else pooler(hidden_states)
        )


def with_fast_encoder(encoder: Encoder, carry_limit: float) -> nn.Module:
    """The model with its base model replaced by a ``FastBase``; as it is for a family without post-norm layers.

    Args:
        encoder: of a model that is used for nothing else afterwards.
        carry_limit: as for ``FastBase``.
    """
    model: nn.Module = encoder.model
    if encoder.post_norm_layers is None:
        return model
    fast = FastBase(encoder, carry_limit)
    if encoder.base is model:
        return fast
    setattr(model, encoder.model.base_model_prefix, fast)
    return model
