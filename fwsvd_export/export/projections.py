"""Linear layers as chains of weights, and the exact rewritings of them that make an ONNX graph faster."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

# Columns that a matrix product works on at once (16 floats of 512 bits); a rank between two multiples has room for more
_COLUMNS = 16
# Sequences are mostly about so long; decides where merging pays
TYPICAL_LENGTH = 128


@dataclass(frozen=True)
class Projection:
    """``x -> weights[-1] … weights[0] x + bias``.

    Attributes:
        weights: matrices (out, in), the first one applied first: one of a dense layer, two of a factorised one.
        bias: (out), or None.
    """

    weights: tuple[Tensor, ...]
    bias: Tensor | None

    @classmethod
    def of(cls, layer: Any) -> Projection:
        """A dense or a factorised linear layer."""
        if hasattr(layer, "down"):
            return cls((layer.down.weight.detach(), layer.up.weight.detach()), layer.up.bias.detach())
        return cls((layer.weight.detach(),), layer.bias.detach())

    @property
    def rank(self) -> int | None:
        """The inner size of a factorised layer, else None."""
        return len(self.weights[0]) if len(self.weights) == 2 else None

    def applied(self, vector: Tensor) -> Tensor:
        """The product of all weights with a vector (in), without the bias."""
        for weight in self.weights:
            vector = weight @ vector
        return vector

    @property
    def width(self) -> int:
        """How many numbers come out."""
        return len(self.weights[-1])

    def scaled(self, factor: float) -> Projection:
        """The same times a number."""
        assert self.bias is not None, "layers of an encoder have a bias"
        return Projection((*self.weights[:-1], self.weights[-1] * factor), self.bias * factor)

    def transposed(self) -> Projection:
        """The transposed product of all weights, without the bias."""
        return Projection(tuple(weight.T for weight in reversed(self.weights)), None)

    def without_bias(self) -> Projection:
        """The weights alone."""
        return replace(self, bias=None)


@dataclass(frozen=True)
class Attention:
    """The four projections of one attention block, in a form that is fast to run.

    The scores of a head are ``query(x)ᵀ key(x)``; its context is the weighted sum of ``value(x)``. Where ``key`` (or
    ``value``) is shared, all heads use the same vectors, of its rank; else every head has its own part.

    Attributes:
        query: of all heads, scaled.
        key: without a bias; of all heads, or shared.
        value: without a bias; of all heads, or shared.
        output: of the contexts of all heads.
        shares_key: whether the up factors of query and key were merged.
        shares_value: whether the up factor of value and the down factor of output were merged.
    """

    query: Projection
    key: Projection
    value: Projection
    output: Projection
    shares_key: bool = False
    shares_value: bool = False


def lean_attention(query: Projection, key: Projection, value: Projection, output: Projection, heads: int) -> Attention:
    """The same function with less to add.

    Three rewritings, all exact: the scale of the scores goes into the query; the key's bias adds the same to all
    scores of a query, so that softmax drops it; the weights of a context sum to 1, so that the value's bias can be
    added once, behind the output projection.

    Args:
        query: (hidden, in), with bias; likewise ``key``, ``value`` and ``output``.
        key: see there.
        value: see there.
        output: see there.
        heads: how many.
    """
    assert value.bias is not None, "layers of an encoder have a bias"
    assert output.bias is not None, "layers of an encoder have a bias"
    output = replace(output, bias=output.bias + output.applied(value.bias))
    scale = (query.width // heads) ** -0.5
    return Attention(query.scaled(scale), key.without_bias(), value.without_bias(), output)


def fast_attention(query: Projection, key: Projection, value: Projection, output: Projection, heads: int) -> Attention:
    """``lean_attention``, and what can be merged is, where the ranks are small enough.

    Two more products are taken beforehand then: a score is ``x_tᵀ D_qᵀ (U_qᵀ U_k) D_k x_s`` per head, and the same
    holds for value and output (the absorption of multi-head latent attention: DeepSeek-AI 2024, arXiv 2405.04434,
    section 2.1).

    Args:
        query: (hidden, in), with bias; likewise ``key``, ``value`` and ``output``.
        key: see there.
        value: see there.
        output: see there.
        heads: how many.
    """
    found, hidden = lean_attention(query, key, value, output, heads), query.width
    if _pays(found.query.rank, found.key.rank, found.key.rank, hidden, heads):
        found = _merged_scores(found, heads)
    if _pays(found.value.rank, found.output.rank, found.value.rank, hidden, heads):
        found = _merged_values(found, heads)
    return found


def _pays(first: int | None, second: int | None, shared: int | None, hidden: int, heads: int) -> bool:
    """Whether one product per head (first x second) costs less than two factors, at the typical length."""
    if first is None or second is None or shared is None:
        return False
    merged = first * second * heads + heads * TYPICAL_LENGTH * shared
    return merged < hidden * (first + second) + hidden * TYPICAL_LENGTH


def _merged_scores(attention: Attention, heads: int) -> Attention:
    """Query and key up factors become one matrix; a last row per head, 0 · x + 1, meets the mask in the key."""
    (query_down, query_up), (key_down, key_up) = attention.query.weights, attention.key.weights
    assert attention.query.bias is not None, "the query keeps its bias"
    by_head = key_up.unflatten(0, (heads, -1))
    weight = torch.einsum("hdk,hdq->hkq", by_head, query_up.unflatten(0, (heads, -1)))
    bias = torch.einsum("hdk,hd->hk", by_head, attention.query.bias.unflatten(0, (heads, -1)))
    weight = torch.cat([weight, weight.new_zeros(heads, 1, weight.shape[2])], 1).flatten(0, 1)
    bias = torch.cat([bias, bias.new_ones(heads, 1)], 1).flatten()
    query = Projection((query_down, weight), bias)
    return replace(attention, query=query, key=Projection((key_down,), None), shares_key=True)


def _merged_values(attention: Attention, heads: int) -> Attention:
    (value_down, value_up), (output_down, output_up) = attention.value.weights, attention.output.weights
    weight = torch.einsum(
        "ohd,hdv->ohv", output_down.unflatten(1, (heads, -1)), value_up.unflatten(0, (heads, -1))
    ).flatten(1)
    output = Projection((weight, output_up), attention.output.bias)
    return replace(attention, value=Projection((value_down,), None), output=output, shares_value=True)


def carrying_bias(projection: Projection, limit: float = math.inf) -> tuple[Tensor | None, Projection]:
    """The bias as one more column of the up factor, where that costs nothing.

    The down factor gets a row of zeros whose own bias is 1: the constant that the new column is multiplied with. One
    addition over ``rank`` numbers replaces one over all outputs. A matrix product works on 16 columns at once, so that
    a row more is free unless the rank is a multiple of 16.

    Args:
        projection: any.
        limit: the up factor with that column must have fewer weights. In 8 bits a bias would share its scale with the
            weights of a large product, and onnxruntime adds it there for nothing.

    Returns:
        The bias of the down factor (rank + 1), or None where nothing was changed; and the projection.
    """
    rank = projection.rank
    if projection.bias is None or rank is None or rank % _COLUMNS == 0 or projection.width * (rank + 1) >= limit:
        return None, projection
    down, up = projection.weights
    constant = torch.zeros(rank + 1, dtype=down.dtype)
    constant[-1] = 1
    down = torch.cat([down, down.new_zeros(1, down.shape[1])])
    return constant, Projection((down, torch.cat([up, projection.bias.unsqueeze(1)], 1)), None)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer of torch around a weight (out, in) and a bias (out) that are there already."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


class Chain(nn.Sequential):
    """A projection as layers named like those of a checkpoint: down and up, or up alone.

    Args:
        projection: any.
        carry_limit: as for ``carrying_bias``.
    """

    def __init__(self, projection: Projection, carry_limit: float) -> None:
        super().__init__()
        constant, projection = carrying_bias(projection, carry_limit)
        *downs, up = projection.weights
        for down in downs:
            self.add_module("down", linear(down, constant))
        self.add_module("up", linear(up, projection.bias))
