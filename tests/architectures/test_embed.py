"""Pooling: padding does not count."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.architectures.embed import mean_pooled


@given(st.integers(1, 6), st.integers(0, 4))
def test_padding_does_not_count(tokens: int, padding: int) -> None:
    hidden = torch.randn(2, tokens + padding, 3)
    mask = torch.tensor([1] * tokens + [0] * padding).expand(2, -1)
    torch.testing.assert_close(mean_pooled(hidden, mask), mean_pooled(hidden[:, :tokens], None))
