"""How the hidden states of a text become its embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Embed = Callable[["Tensor", "Tensor | None"], "Tensor"]
"""(texts, length, width) hidden states, and (texts, length) 1 for tokens and 0 for padding or None -> (texts, size)."""


def mean_pooled(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the tokens that are not padding: what most sentence encoders hand out.

    Example:
        >>> import torch
        >>> mean_pooled(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]]))
        tensor([[2., 3.]])
    """
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)
