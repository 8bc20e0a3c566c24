"""What a layer costs at a rank, and the rank from which its factors would be no smaller than the weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fwsvd_export.records import LayerSpec


def factor_weights(layer: LayerSpec, rank: int) -> int:
    """Parameters of both factors: rank * (out + in)."""
    return rank * (layer.out_features + layer.in_features)


def grows(layer: LayerSpec, rank: int) -> bool:
    """Whether factors of this rank are not smaller than the dense weight (the break-even guard)."""
    return factor_weights(layer, rank) >= layer.weights


def planned_weights(
    layers: Sequence[LayerSpec], ranks: Mapping[str, int | None], widths: Mapping[str, int] = MappingProxyType({})
) -> int:
    """Linear weights of a whole plan.

    Args:
        layers: in their dense shapes.
        ranks: layer name -> rank, None for dense.
        widths: layer name -> neurons that are left, where some are gone.
    """
    total = 0
    for layer in layers:
        rank, kept = ranks[layer.name], layer.narrowed(widths[layer.name]) if layer.name in widths else layer
        total += kept.weights if rank is None else factor_weights(kept, rank)
    return total
