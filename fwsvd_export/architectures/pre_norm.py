"""Encoder layers that normalise before attention and feed-forward part, and the rotary positions that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def rotated(states: Tensor, frequencies: Tensor) -> Tensor:
    """Queries or keys turned by their positions (Su et al. 2021, arXiv 2104.09864, equation 34).

    Args:
        states: (sequences, heads, length, size).
        frequencies: radians per position, (size / 2).
    """
    import torch  # late: who only asks for names does not wait for it

    places = torch.arange(states.shape[2], device=states.device, dtype=torch.float32)
    angles = torch.outer(places, frequencies.float()).repeat(1, 2)
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (states * angles.cos() + turned * angles.sin()).to(states.dtype)
