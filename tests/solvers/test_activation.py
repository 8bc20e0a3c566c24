from __future__ import annotations

import pytest
import torch

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import InputGram
from fwsvd_export.solvers.activation import decompose_input_gram

TOKENS = 40


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_the_loss_is_half_the_mean_squared_error_of_the_output(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(*shape, generator=generator)
    inputs = torch.randn(shape[1], TOKENS, generator=generator) * torch.logspace(0, -0.5, shape[1])[:, None]
    decomposition = decompose_input_gram(weight, InputGram(inputs @ inputs.T, TOKENS), "layer")
    for rank in range(1, 6):
        factors = truncate(decomposition, rank, "layer")
        error = ((weight - factors.up @ factors.down) @ inputs).square().sum() / TOKENS / 2
        assert float(decomposition.losses[rank]) == pytest.approx(float(error), rel=2e-3)
        best = torch.linalg.svdvals(weight @ inputs)[rank:].square().sum() / TOKENS / 2
        assert float(error) == pytest.approx(float(best), rel=2e-3)
