from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.errors import RankError, WeightError
from fwsvd_export.linalg.decomposition import decompose, truncate
from fwsvd_export.linalg.weighting import Weighting
from tests.linalg.weightings import DAMPING, matrix, weighting, weighting_matrix

SIDES = st.integers(1, 12)
SEEDS = st.integers(0, 2**31)
KINDS = ("none", "diagonal", "full", "deficient", "indefinite")
LAYER = "encoder.layer.3.output.dense"
laws = settings(max_examples=60, deadline=None)


def symmetric_root(values: Tensor) -> Tensor:
    eigenvalues, vectors = torch.linalg.eigh(values)
    return vectors @ torch.diag(eigenvalues.clamp_min(0).sqrt()) @ vectors.T


def tail_losses(weight: Tensor, output: Tensor, input: Tensor) -> Tensor:
    """Half the squared singular values that each rank leaves out."""
    squares = torch.linalg.svdvals(symmetric_root(output) @ weight.double() @ symmetric_root(input)).square()
    return torch.stack([squares[rank:].sum() / 2 for rank in range(len(squares) + 1)])


@laws
@given(
    out_features=SIDES,
    in_features=SIDES,
    seed=SEEDS,
    output_kind=st.sampled_from(KINDS),
    input_kind=st.sampled_from(KINDS),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    damping=st.sampled_from([1e-2, 1e-4, 1e-8]),
)
def test_factors_leave_the_tail_energy_at_every_rank(
    out_features: int,
    in_features: int,
    seed: int,
    output_kind: str,
    input_kind: str,
    dtype: torch.dtype,
    damping: float,
) -> None:
    weight = matrix(out_features, in_features, seed).to(dtype)
    output = weighting(output_kind, out_features, seed + 1, damping)
    input = weighting(input_kind, in_features, seed + 2, damping)
    decomposition = decompose(weight, output, input, LAYER)
    left, right = weighting_matrix(output, out_features), weighting_matrix(input, in_features)
    expected = tail_losses(weight, left, right)
    tolerance = 1e-5 * float(expected[0])
    torch.testing.assert_close(decomposition.losses, expected, rtol=0, atol=tolerance)
    assert bool((decomposition.losses.diff() <= 0).all())
    assert decomposition.losses[-1] == 0
    for rank in range(1, min(out_features, in_features) + 1):
        factors = truncate(decomposition, rank, LAYER)
        assert (factors.up.shape, factors.down.shape) == ((out_features, rank), (rank, in_features))
        error = weight.double() - factors.up.double() @ factors.down.double()
        loss = (error @ right @ error.T @ left).trace() / 2
        assert float(loss) == pytest.approx(float(decomposition.losses[rank]), abs=tolerance)


@laws
@given(
    out_features=SIDES, in_features=SIDES, seed=SEEDS, kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS))
)
def test_full_rank_returns_the_matrix_in_balanced_factors(
    out_features: int, in_features: int, seed: int, kinds: tuple[str, str]
) -> None:
    weight = matrix(out_features, in_features, seed)
    decomposition = decompose(
        weight, weighting(kinds[0], out_features, seed + 1), weighting(kinds[1], in_features, seed + 2), LAYER
    )
    factors = truncate(decomposition, min(out_features, in_features), LAYER)
    torch.testing.assert_close(factors.up @ factors.down, weight, rtol=0, atol=1e-4 * float(weight.norm()))
    torch.testing.assert_close(factors.up.norm(dim=0), factors.down.norm(dim=1), rtol=1e-3, atol=0)


@laws
@given(
    shape=st.tuples(SIDES, SIDES),
    seed=SEEDS,
    weight_power=st.integers(-50, 50),
    statistics_power=st.integers(-50, 50),
)
def test_scaling_weights_or_statistics_changes_nothing_but_scale(
    shape: tuple[int, int], seed: int, weight_power: int, statistics_power: int
) -> None:
    weight, rank = matrix(*shape, seed), (min(shape) + 1) // 2
    output, input = (weighting("full", size, seed + 1) for size in shape)
    assert output is not None
    scaled_output = Weighting(output.values * 2.0**statistics_power, DAMPING)
    plain = decompose(weight, output, input, LAYER)
    scaled = decompose(weight * 2.0**weight_power, scaled_output, input, LAYER)
    unscaled = scaled.losses / 2.0 ** (2 * weight_power + statistics_power)
    torch.testing.assert_close(unscaled, plain.losses, rtol=0, atol=1e-9 * float(plain.losses[0]))
    expected, factors = truncate(plain, rank, LAYER), truncate(scaled, rank, LAYER)
    product = (factors.up @ factors.down) / 2.0**weight_power
    torch.testing.assert_close(product, expected.up @ expected.down, rtol=0, atol=1e-4 * float(weight.norm()))
    torch.testing.assert_close(factors.up.norm(dim=0), factors.down.norm(dim=1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
@pytest.mark.parametrize("silent_side", ["output", "input"])
def test_zero_statistics_give_plain_svd_and_say_so(shape: tuple[int, int], silent_side: str) -> None:
    weight = matrix(*shape, 0)
    sides: dict[str, Any] = {"output": weighting("full", shape[0], 1), "input": weighting("full", shape[1], 2)}
    sides[silent_side] = Weighting(torch.zeros_like(sides[silent_side].values), DAMPING)
    decomposition = decompose(weight, **sides, layer=LAYER)
    assert "never uses this layer" in decomposition.note
    assert decomposition.losses.tolist() == [0.0] * 6
    factors, plain = truncate(decomposition, 3, LAYER), truncate(decompose(weight, None, None, LAYER), 3, LAYER)
    assert torch.equal(factors.up @ factors.down, plain.up @ plain.down)


def test_a_zero_weight_stays_zero() -> None:
    factors = truncate(decompose(torch.zeros(4, 6), None, weighting("full", 6, 1), LAYER), 2, LAYER)
    assert torch.equal(factors.up @ factors.down, torch.zeros(4, 6))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("where", "named"), [("weight", "weights"), ("output", "statistics"), ("input", "statistics")])
def test_values_that_are_not_finite_are_refused_by_layer(value: float, where: str, named: str) -> None:
    tensors = {"weight": matrix(4, 6, 0), "output": torch.eye(4), "input": torch.eye(6)}
    tensors[where][1, 2] = value
    with pytest.raises(WeightError, match=f"{LAYER}: its {named} hold NaN or infinite values"):
        decompose(tensors["weight"], Weighting(tensors["output"], 0.1), Weighting(tensors["input"], 0.1), LAYER)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
@pytest.mark.parametrize("rank", [-1, 0, 5])
def test_a_rank_outside_the_smaller_side_is_refused_by_layer(shape: tuple[int, int], rank: int) -> None:
    decomposition = decompose(matrix(*shape, 0), None, None, LAYER)
    with pytest.raises(RankError, match=rf"rank {rank} for {LAYER}: 1 to 4 \(its smaller side\)"):
        truncate(decomposition, rank, LAYER)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_block_size_of_products_does_not_change_the_result(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: tuple[Any, ...] = (matrix(7, 9, 0), weighting("full", 7, 1), weighting("full", 9, 2), LAYER)
    whole = decompose(*arguments)
    monkeypatch.setattr("fwsvd_export.linalg.decomposition.GRAM_BLOCK", block)
    torch.testing.assert_close(decompose(*arguments).losses, whole.losses)
