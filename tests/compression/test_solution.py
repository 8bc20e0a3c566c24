"""What a closed form gives at one rank, or for a layer that stays dense."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.compression.solution import DENSE, truncated
from fwsvd_export.linalg.decomposition import decompose


def test_a_layer_without_a_rank_is_dense_and_loses_nothing() -> None:
    decomposition = decompose(torch.eye(3), None, None, "layer")
    solution = truncated(decomposition, None, "layer")
    assert (solution.factors, solution.loss, solution.status) == (None, 0.0, DENSE.status)
    assert solution.losses is decomposition.losses, "what other ranks would lose is known all the same"


def test_a_rank_gives_its_factors_and_the_loss_that_they_have() -> None:
    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    solution = truncated(decompose(weight, None, None, "layer"), 1, "layer")
    assert solution.factors is not None
    product = solution.factors.up @ solution.factors.down
    torch.testing.assert_close(product, torch.diag(torch.tensor([3.0, 0.0, 0.0])), rtol=0, atol=1e-6)
    assert solution.loss == pytest.approx(float((weight - product).square().sum()) / 2, rel=1e-6)
    assert solution.settled
