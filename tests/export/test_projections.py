"""The rewritings are the same function, and are made where they pay."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fwsvd_export.export.projections import Attention, Projection, carrying_bias, fast_attention, linear
from fwsvd_export.modeling.lowrank_layers import LowRankLinear

HIDDEN, HEADS, LENGTH = 24, 3, 5
ranks = st.one_of(st.none(), st.integers(1, HIDDEN))


def projection(rank: int | None, out: int = HIDDEN) -> Projection:
    if rank is None:
        return Projection((torch.randn(out, HIDDEN, dtype=torch.float64),), torch.randn(out, dtype=torch.float64))
    down, up = torch.randn(rank, HIDDEN, dtype=torch.float64), torch.randn(out, rank, dtype=torch.float64)
    return Projection((down, up), torch.randn(out, dtype=torch.float64))


def applied(part: Projection, states: Tensor, constant: Tensor | None = None) -> Tensor:
    for number, weight in enumerate(part.weights):
        states = states @ weight.T
        if number == 0 and constant is not None:
            states = states + constant
    return states if part.bias is None else states + part.bias


def textbook(parts: list[Projection], states: Tensor, mask: Tensor) -> Tensor:
    query, key, value = (applied(part, states).unflatten(1, (HEADS, -1)).transpose(0, 1) for part in parts[:3])
    weights = (query @ key.transpose(1, 2) * (HIDDEN // HEADS) ** -0.5 + mask).softmax(-1)
    return applied(parts[3], (weights @ value).transpose(0, 1).flatten(1))


def fast(attention: Attention, states: Tensor, mask: Tensor) -> Tensor:
    query, key, value = (applied(part, states) for part in (attention.query, attention.key, attention.value))
    query = query.unflatten(1, (HEADS, -1)).transpose(0, 1)
    if attention.shares_key:
        key = torch.cat([key, mask.unsqueeze(1)], 1).expand(HEADS, -1, -1)
        scores = query @ key.transpose(1, 2)
    else:
        scores = query @ key.unflatten(1, (HEADS, -1)).permute(1, 2, 0) + mask
    value = value.expand(HEADS, -1, -1) if attention.shares_value else value.unflatten(1, (HEADS, -1)).transpose(0, 1)
    return applied(attention.output, (scores.softmax(-1) @ value).transpose(0, 1).flatten(1))


@given(st.tuples(ranks, ranks, ranks, ranks), st.integers(0, 2**16))
def test_fast_attention_is_attention(sizes: tuple[int | None, ...], seed: int) -> None:
    torch.manual_seed(seed)
    parts = [projection(rank) for rank in sizes]
    states = torch.randn(LENGTH, HIDDEN, dtype=torch.float64)
    mask = torch.where(torch.arange(LENGTH) < 3, 0.0, -1e9).double()
    found = fast(fast_attention(*parts, heads=HEADS), states, mask)
    torch.testing.assert_close(found, textbook(parts, states, mask), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ((None,) * 4, (False, False)),
        ((2, 2, 2, 2), (True, True)),
        ((2, 2, None, 2), (True, False)),
        ((None, 2, 2, 2), (False, True)),
        ((20, 20, 20, 20), (False, False)),
        ((2, 20, 2, 20), (False, True)),
    ],
)
def test_small_ranks_are_merged(sizes: tuple[int | None, ...], shares: tuple[bool, bool]) -> None:
    found = fast_attention(*(projection(rank) for rank in sizes), heads=HEADS)
    assert (found.shares_key, found.shares_value) == shares


@given(st.integers(1, HIDDEN), st.integers(0, 2**16))
def test_a_carried_bias_is_the_bias(rank: int, seed: int) -> None:
    torch.manual_seed(seed)
    before, states = projection(rank), torch.randn(LENGTH, HIDDEN, dtype=torch.float64)
    constant, after = carrying_bias(before)
    assert (constant is None) == (rank % 16 == 0)
    assert (after.bias is None) == (constant is not None)
    torch.testing.assert_close(applied(after, states, constant), applied(before, states))


def test_a_large_factor_does_not_carry_its_bias() -> None:
    part = projection(3)
    carried = carrying_bias(part, limit=4 * HIDDEN + 1)[1].weights[1]
    assert carried.numel() == 4 * HIDDEN
    assert carrying_bias(part, limit=carried.numel()) == (None, part), "with its bias it would be large"


def test_a_bias_of_a_dense_layer_stays_where_it_is() -> None:
    before = projection(None)
    assert carrying_bias(before) == (None, before)


@pytest.mark.parametrize("layer", [nn.Linear(4, 6), LowRankLinear(4, 6, 2)], ids=["dense", "factors"])
def test_a_projection_is_its_layer(layer: nn.Module) -> None:
    states = torch.randn(3, 4)
    part = Projection.of(layer)
    assert (part.width, part.rank) == (6, getattr(layer, "rank", None))
    torch.testing.assert_close(applied(part, states), layer(states))


def test_a_layer_around_a_weight_has_that_weight() -> None:
    weight, bias = torch.randn(6, 4), torch.randn(6)
    torch.testing.assert_close(linear(weight, bias)(torch.eye(4)), weight.T + bias)
    assert linear(weight, None).bias is None
