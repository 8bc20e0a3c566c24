"""What all encoder layers have in common: linear layers with roles, and residual branches (stages)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn


def unchanged(hidden: Tensor) -> Tensor:
    """What stands in the place of a norm where there is none."""
    return hidden


@dataclass(frozen=True)
class Stage:
    """One residual branch of an encoder layer: hidden -> norm(readout(inner(hidden)) + hidden).

    Hidden states are (sequences, length, width); sequences have no padding.

    Attributes:
        projections: names of the linear layers that read ``entry(hidden)``.
        readout: name of the linear layer whose output is added to the hidden states.
        inner: what the readout reads.
        norm: what follows the addition.
        activation: of a feed-forward part, between its only projection and the readout; None for attention, and where
            the neurons are gated.
        entry: what the hidden states pass before the projections read them: the norm of a pre-norm layer.
        beside: what some of the projections read in every sequence too, by their names: length of the sequence ->
            (rows, width).
    """

    projections: tuple[str, ...]
    readout: str
    inner: Callable[[Tensor], Tensor]
    norm: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor] | None = None
    entry: Callable[[Tensor], Tensor] = unchanged
    beside: tuple[tuple[str, Callable[[int], Tensor]], ...] = ()


@dataclass(frozen=True)
class EncoderLayer(ABC):
    """One encoder layer of a loaded model; a family's kind of layer says what its roles read and what its stages are.

    Attributes:
        module: the layer.
        name: of the layer, relative to the base model.
        names: of its parts, an object with a field per role and per part.
        heads: of the attention.
        roles: role of a linear layer -> whether it reads the input that the whole attention shares.
    """

    roles: ClassVar[Mapping[str, bool]]

    module: nn.Module
    name: str
    names: Any
    heads: int

    def linear_name(self, role: str) -> str:
        """Name of a linear layer, relative to the base model."""
        return f"{self.name}.{getattr(self.names, role)}"

    def reads(self, role: str) -> str:
        """Name of a linear layer's input: the same for layers that read the same input."""
        return f"{self.name}.{self.names.attention}" if self.roles[role] else self.linear_name(role)

    def part(self, which: str) -> Any:
        """A linear layer, a norm or the activation, by its field in ``names``."""
        return attrgetter(getattr(self.names, which))(self.module)

    @property
    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """Its residual branches, in order."""
