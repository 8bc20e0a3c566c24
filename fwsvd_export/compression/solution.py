"""What a closed form gives at one rank."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Decomposition, Solution

DENSE = Solution(None, 0.0, "dense")


def truncated(decomposition: Decomposition, rank: int | None, layer: str) -> Solution:
    """The solution at a rank from a closed form; None is the dense layer."""
    losses, note = decomposition.losses, decomposition.note
    if rank is None:
        return replace(DENSE, losses=losses)
    factors = truncate(decomposition, rank, layer)
    return Solution(factors, float(losses[rank]), note or "exact", settled=not note, losses=losses)
