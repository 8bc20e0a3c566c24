"""What is drawn for an example depends on seed and index alone, and is uniform."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.fisher.draws import uniform_numbers

SEEDS = (0, 1, -1, 2**63)


def test_seed_and_index_decide_and_the_count_does_not() -> None:
    drawn = {(seed, index): tuple(uniform_numbers(seed, index, 8).tolist()) for seed in SEEDS for index in range(50)}
    assert len(set(drawn.values())) == len(drawn)
    for (seed, index), numbers in drawn.items():
        assert tuple(uniform_numbers(seed, index, 3).tolist()) == numbers[:3]


def test_the_numbers_are_the_published_generators() -> None:
    """Philox 4x64-10 with the index in the counter's highest word; numpy starts at the counter's successor."""
    multipliers, weyl, word = (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B), 2**64
    counter, key = [1, 0, 0, 9], [7, 0]
    for _ in range(10):
        low, high = multipliers[0] * counter[0], multipliers[1] * counter[2]
        counter = [
            high // word ^ counter[1] ^ key[0], high % word, low // word ^ counter[3] ^ key[1], low % word
        ]  # fmt: skip
        key = [(part + step) % word for part, step in zip(key, weyl, strict=True)]
    expected = torch.tensor([bits / word for bits in counter])
    torch.testing.assert_close(uniform_numbers(7, 9, 4), expected, rtol=0, atol=2**-24)


@pytest.mark.parametrize("along", ["one example", "examples"])
def test_the_numbers_are_uniform(along: str) -> None:
    if along == "examples":
        drawn = torch.cat([uniform_numbers(0, index, 1) for index in range(20_000)])
    else:
        drawn = uniform_numbers(0, 5, 20_000)
    assert drawn.dtype == torch.float32
    assert 0 <= float(drawn.min()) < float(drawn.max()) < 1
    distance = (drawn.double().sort().values - torch.linspace(0, 1, 20_000, dtype=torch.float64)).abs().max()
    assert float(distance) < 1.63 / 20_000**0.5, "Kolmogorov and Smirnov's bound at 1 %"


def test_nothing_drawn_is_nothing() -> None:
    assert uniform_numbers(0, 0, 0).shape == (0,)
