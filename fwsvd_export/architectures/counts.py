"""How many parameters a model has."""

from __future__ import annotations

from collections.abc import Mapping
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


def removed_biases(encoder: Encoder, widths: Mapping[str, int]) -> int:
    """Biases of neurons that are gone, of a dense model's feed-forward parts.

    Args:
        encoder: of the dense model.
        widths: layer name -> neurons that are left, where some are gone.
    """
    gone = 0
    for part in encoder.feed_forwards:
        name = part.intermediate.name
        if name in widths and encoder.module(name).bias is not None:
            gone += part.neurons - widths[name]
    return gone
