"""Inputs of a readout leave in the order in which they are least needed; the others take over."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.linalg.surgeon import BLOCKS, refitted, removal_order


def problem(inputs: int, outputs: int, seed: int) -> tuple[Tensor, Tensor]:
    """A readout and a positive definite second moment, float64."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(3 * inputs, inputs, dtype=torch.float64, generator=generator)
    mixed = samples @ torch.randn(inputs, inputs, dtype=torch.float64, generator=generator)
    return torch.randn(outputs, inputs, dtype=torch.float64, generator=generator), mixed.T @ mixed / len(mixed)


def error(weight: Tensor, moment: Tensor, kept: Tensor) -> float:
    """What the best readout from some inputs is off by, by the normal equations."""
    cross = weight @ moment[:, kept]
    explained = cross @ torch.linalg.solve(moment[kept][:, kept], cross.T)
    return float((weight @ moment @ weight.T - explained).trace())


@given(inputs=st.integers(2, 8), outputs=st.integers(1, 4), keep=st.integers(1, 7), seed=st.integers(0, 10**6))
def test_every_input_that_goes_is_the_one_that_costs_least(inputs: int, outputs: int, keep: int, seed: int) -> None:
    weight, moment = problem(inputs, outputs, seed)
    keep = min(keep, inputs)
    order = removal_order(weight, moment, keep)
    assert sorted(order.tolist()) == list(range(inputs))
    for gone in range(inputs - keep):
        left = order[gone:]
        costs = {int(out): error(weight, moment, left[left != out]) for out in left}
        assert costs[int(order[gone])] == pytest.approx(min(costs.values()), rel=1e-6, abs=1e-9)


@given(inputs=st.integers(2, 8), outputs=st.integers(1, 4), seed=st.integers(0, 10**6), data=st.data())
def test_the_refitted_readout_is_the_regression_on_what_is_left(
    inputs: int, outputs: int, seed: int, data: st.DataObject
) -> None:
    weight, moment = problem(inputs, outputs, seed)
    kept = torch.tensor(sorted(data.draw(st.sets(st.integers(0, inputs - 1), min_size=1))))
    found = refitted(weight, moment, kept)
    lost = weight.clone()
    lost[:, kept] -= found
    assert float((lost @ moment * lost).sum()) == pytest.approx(error(weight, moment, kept), rel=1e-6, abs=1e-9)


def test_blocks_cost_little_more_than_one_at_a_time() -> None:
    weight, moment = problem(4 * BLOCKS, 16, 0)
    moment += 0.01 * moment.diagonal().mean() * torch.eye(len(moment))
    half = len(moment) // 2
    in_blocks = error(weight, moment, removal_order(weight, moment, half)[-half:])
    at_random = error(weight, moment, torch.randperm(len(moment), generator=torch.Generator().manual_seed(0))[:half])
    assert in_blocks < 0.7 * at_random


def test_a_moment_that_rounding_left_indefinite_is_damped_a_little_more() -> None:
    weight, moment = problem(6, 2, 0)
    low, vectors = torch.linalg.eigh(moment)
    indefinite = (vectors * torch.cat([-1e-7 * low[-1:], low[1:]])) @ vectors.T
    assert sorted(removal_order(weight, indefinite, 2).tolist()) == list(range(6))
    assert refitted(weight, indefinite, torch.arange(6)).isfinite().all()


def test_a_twin_goes_without_loss() -> None:
    """Two inputs that are always equal: one is enough, whatever the readout takes from either."""
    moment = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double() + 1e-9 * torch.eye(3)
    order = removal_order(torch.tensor([[5.0, 3.0, 0.1]]), moment, keep=1)
    assert set(order[:2].tolist()) == {0, 2} or set(order[:2].tolist()) == {1, 2}
    kept = order[1:].sort().values
    assert refitted(torch.tensor([[5.0, 3.0, 0.1]]), moment, kept).sum() == pytest.approx(8.1, rel=1e-5)
