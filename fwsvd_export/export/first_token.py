"""The attention of a layer of which only a sequence's first token is read: exact, and nearly for nothing.

One query needs no key and no value of its own for every token. A head's score of a token x is ``qᵀ W_k x``, so that
the key's weights meet the query, once per head; its context is ``W_v (Σ a_t x_t)``, so that the value's weights meet
the weighted mean of the hidden states, once per head. What is left for every token are these two inner products.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fwsvd_export.export.projections import Attention, Chain


class FirstTokenAttention(nn.Module):
    """Contexts of the first token.

    Args:
        attention: its projections, of which no two are merged.
        heads: how many.
        carry_limit: as for ``projections.carrying_bias``.
    """

    def __init__(self, attention: Attention, heads: int, carry_limit: float) -> None:
        super().__init__()
        self.query = Chain(attention.query, carry_limit)
        self.key = Chain(attention.key.transposed(), carry_limit)
        self.value = Chain(attention.value, carry_limit)
        of_head = torch.eye(heads).repeat_interleave(attention.query.width // heads, dim=1)
        self.of_head = nn.Parameter(of_head, requires_grad=False)  # (heads, width): which numbers are of which head

    def forward(self, hidden_states: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """(batch, length, width) -> (batch, 1, width).

        Args:
            hidden_states: of all tokens.
            mask: (batch, length), added to the scores.
            bias: (1, heads, length, length), added likewise; None for none.
        """
        query = self.key(self.query(hidden_states[:, :1]) * self.of_head)  # (batch, heads, width)
        scores = query @ hidden_states.transpose(1, 2) + mask.unsqueeze(1)
        if bias is not None:
            scores = scores + bias[:, :, 0]
        contexts = self.value(scores.softmax(-1) @ hidden_states)
        joined: Tensor = (contexts * self.of_head).sum(1, keepdim=True)
        return joined
