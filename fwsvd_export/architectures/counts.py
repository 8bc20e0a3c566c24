"""How many parameters a model has."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.encoder import Encoder


def linear_weights(encoder: Encoder) -> int:
    """Weights of the compressible layers as they are now (factors where a layer is factorised; biases not counted)."""
    return sum(
        parameter.numel()
        for layer in encoder.layers
        for name, parameter in encoder.module(layer.name).named_parameters()
        if name.endswith("weight")
    )


def total_parameters(model: Any) -> int:
    """All parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
