"""What a closed form gives at one rank."""

from __future__ import annotations

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Decomposition, Solution

DENSE = Solution(None, 0.0, "dense")


def truncated(decomposition: Decomposition, rank: int | None, layer: str) -> Solution:
    """The solution at a rank from a closed form; None is the dense layer."""
    if rank is None:
        return DENSE
    loss, note = float(decomposition.losses[rank]), decomposition.note
    return Solution(truncate(decomposition, rank, layer), loss, note or "exact", settled=not note)
