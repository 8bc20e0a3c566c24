"""What a layer costs at a rank, and the rank from which its factors would be no smaller than the weight."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.records import LayerSpec


def factor_weights(layer: LayerSpec, rank: int) -> int:
    """Parameters of both factors: rank * (out + in)."""
    return rank * (layer.out_features + layer.in_features)


def grows(layer: LayerSpec, rank: int) -> bool:
    """Whether factors of this rank are not smaller than the dense weight (the break-even guard)."""
    return factor_weights(layer, rank) >= layer.weights


def planned_weights(layers: Sequence[LayerSpec], ranks: dict[str, int | None]) -> int:
    """Linear weights of a whole plan; a layer of rank None is dense."""
    total = 0
    for layer in layers:
        rank = ranks[layer.name]
        total += layer.weights if rank is None else factor_weights(layer, rank)
    return total
