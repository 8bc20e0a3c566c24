"""One residual branch of an encoder layer, as everything that runs an encoder layer by layer needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
