"""The encoder layer of BERT and its relatives: attention and feed-forward, each added to its input and normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

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
class PostNormLayer:
    """One encoder layer of a loaded model.

    Attributes:
        module: the layer.
        name: of the layer, relative to the base model.
        names: of its parts.
        heads: of the attention.
    """

    module: nn.Module
    name: str
    names: PostNormNames
    heads: int

    def linear_name(self, role: str) -> str:
        """Name of a linear layer, relative to the base model."""
        return f"{self.name}.{getattr(self.names, role)}"

    def reads(self, role: str) -> str:
        """Name of a linear layer's input: the same for layers that read the same input."""
        return f"{self.name}.{self.names.attention}" if ROLES[role] else self.linear_name(role)

    def part(self, which: str) -> Any:
        """A linear layer, a norm or the activation, by its field in ``PostNormNames``."""
        return attrgetter(getattr(self.names, which))(self.module)

    def context(self, hidden: Tensor) -> Tensor:
        """What the attention hands to its output projection, (sequences, length, hidden); nothing is padded."""
        from torch.nn import functional  # late: who only asks for names does not wait for torch

        query, key, value = (
            self.part(role)(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for role in ("query", "key", "value")
        )
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    def activated(self, hidden: Tensor) -> Tensor:
        """What the feed-forward part hands to its output layer, (sequences, length, inner)."""
        activation: Callable[[Tensor], Tensor] = self.part("activation")
        return activation(self.part("intermediate")(hidden))
