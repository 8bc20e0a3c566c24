"""The encoder layer of BERT and its relatives: attention and feed-forward, each added to its input and normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fwsvd_export.architectures.encoder_layer import EncoderLayer, Stage

if TYPE_CHECKING:
    from torch import Tensor

# Role of a linear layer -> whether it reads the input that the whole attention shares
ROLES = {
    "query": True,
    "key": True,
    "value": True,
    "attention_output": False,
    "intermediate": False,
    "output": False,
}


@dataclass(frozen=True)
class PostNormNames:
    """Where the parts are in an encoder layer of one family.

    Attributes:
        query: linear layer (hidden, hidden); likewise ``key``, ``value`` and ``attention_output``.
        key: see there.
        value: see there.
        attention_output: see there.
        intermediate: linear layer (inner, hidden).
        output: linear layer (hidden, inner).
        attention: the module that computes query, key and value; it names their shared input.
        attention_norm: behind the attention.
        activation: between ``intermediate`` and ``output``.
        norm: behind the feed-forward part.
    """

    query: str
    key: str
    value: str
    attention_output: str
    intermediate: str
    output: str
    attention: str
    attention_norm: str
    activation: str
    norm: str


@dataclass(frozen=True)
class PostNormLayer(EncoderLayer):
    """One encoder layer of a loaded model; ``names`` are ``PostNormNames``.

    Attributes:
        bias: hidden states -> what is added to the scores of all heads, (1, heads, length, length); None for nothing.
    """

    roles = ROLES

    bias: Callable[[Tensor], Tensor | None] | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Attention and feed-forward part."""
        name = self.linear_name
        projections = tuple(name(role) for role, shares in ROLES.items() if shares)
        activation = self.part("activation")
        return (
            Stage(projections, name("attention_output"), self.context, self.part("attention_norm")),
            Stage((name("intermediate"),), name("output"), self.activated, self.part("norm"), activation),
        )

    def context(self, hidden: Tensor) -> Tensor:
        """What the attention hands to its output projection, (sequences, length, hidden); nothing is padded."""
        from torch.nn import functional  # late: who only asks for names does not wait for torch

        query, key, value = (
            self.part(role)(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for role in ("query", "key", "value")
        )
        bias = None if self.bias is None else self.bias(hidden)
        contexts = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return contexts.transpose(1, 2).flatten(2)

    def activated(self, hidden: Tensor) -> Tensor:
        """What the feed-forward part hands to its output layer, (sequences, length, inner)."""
        activation: Callable[[Tensor], Tensor] = self.part("activation")
        return activation(self.part("intermediate")(hidden))
