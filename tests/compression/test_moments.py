"""Moments of weighted packs, centred and not, are those of the tokens laid side by side."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fwsvd_export.compression.moments import Moments


def packs() -> list[tuple[Tensor, Tensor, int]]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 1), (1, 5, 3), (4, 2, 1))
    return [
        (
            torch.randn(count, length, 4, generator=generator) + 2,
            torch.randn(count, length, 3, generator=generator),
            times,
        )
        for count, length, times in shapes
    ]


@pytest.mark.parametrize("centred", [True, False])
def test_a_pack_that_counts_three_times_is_as_three(centred: bool) -> None:
    found = Moments.of(packs(), centred)
    inputs, targets = (
        torch.cat([pack[side].flatten(0, 1).repeat(pack[2], 1) for pack in packs()]).double() for side in (0, 1)
    )
    assert found.tokens == len(inputs) == 6 + 15 + 8
    means = (inputs.mean(dim=0), targets.mean(dim=0)) if centred else (inputs.new_zeros(4), targets.new_zeros(3))
    inputs, targets = inputs - means[0], targets - means[1]
    torch.testing.assert_close(found.input_mean, means[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.target_mean, means[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.input_moment, inputs.T @ inputs / len(inputs), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.cross_moment, targets.T @ inputs / len(inputs), rtol=1e-4, atol=1e-5)


def test_a_layer_without_bias_moves_no_mean() -> None:
    weight = torch.tensor([[1.0, -1.0, 2.0]])
    found = Moments.of(packs(), centred=False).through(weight, None)
    assert found.target_mean.tolist() == [0.0]
    shifted = Moments.of(packs()).through(weight, torch.tensor([5.0]))
    plain = Moments.of(packs()).through(weight, None)
    torch.testing.assert_close(shifted.target_mean - plain.target_mean, torch.tensor([5.0], dtype=torch.float64))
