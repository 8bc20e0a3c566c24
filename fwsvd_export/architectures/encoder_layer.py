"""What all encoder layers have in common: linear layers with roles, and residual branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from fwsvd_export.architectures.stage import Stage
from fwsvd_export.records import LayerSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class EncoderLayer:
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
    def specs(self) -> tuple[LayerSpec, ...]:
        """Its compressible linear layers, in the dense shape."""
        linears = ((role, self.part(role)) for role in self.roles)
        return tuple(
            LayerSpec(self.linear_name(role), linear.out_features, linear.in_features, role, self.reads(role))
            for role, linear in linears
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its residual branches, in order."""
        raise NotImplementedError
