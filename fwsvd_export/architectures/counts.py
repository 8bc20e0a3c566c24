"""How many parameters a model has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.registry import base_of, compressible_layers

if TYPE_CHECKING:
    pass


def linear_weights(model: Any) -> int:
    """Weights of the compressible layers as they are now (factors where a layer is factorised; biases not counted)."""
    modules = dict(base_of(model).named_modules())
    return sum(
        parameter.numel()
        for layer in compressible_layers(model)
        for name, parameter in modules[layer.name].named_parameters()
        if name.endswith("weight")
    )


def total_parameters(model: Any) -> int:
    """All parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
