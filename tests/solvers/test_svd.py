from __future__ import annotations

import pytest
import torch

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Plain
from fwsvd_export.solvers.svd import decompose_plain


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
def test_it_is_the_truncated_svd(shape: tuple[int, int]) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    decomposition = decompose_plain(weight, Plain(), "layer")
    for rank in range(1, min(shape) + 1):
        factors = truncate(decomposition, rank, "layer")
        expected = (left[:, :rank] * values[:rank]) @ right[:rank]
        torch.testing.assert_close((factors.up @ factors.down).double(), expected, rtol=0, atol=1e-5)
        assert float(decomposition.losses[rank]) == pytest.approx(float(values[rank:].square().sum()) / 2, abs=1e-9)
