from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.compression.norms import build_norm
from fwsvd_export.errors import StatisticsError
from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, INPUT_DAMPING, ROW_DAMPING
from fwsvd_export.records import (
    ElementWeights,
    InputGram,
    Kronecker,
    LayerStatistics,
    Plain,
    RowWeights,
    Statistics,
    StatisticsSource,
    WeightingNorm,
)
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import SOLVERS

LAYER = "encoder.layer.0.intermediate.dense"
SHAPES = [(6, 10), (10, 6), (8, 8)]
CLOSED_FORMS = {name: solver for name, solver in SOLVERS.items() if isinstance(solver, ClosedForm)}


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def second_moment(size: int, seed: int) -> Tensor:
    """Of features of very different strength."""
    rows = matrix(3 * size, size, seed) * torch.logspace(-2, 1, size)
    return rows.T @ rows / (3 * size)


def norms_of(shape: tuple[int, int], seed: int) -> list[tuple[str, WeightingNorm]]:
    """Each method with a norm for it; fwsvd in both orientations."""
    out_features, in_features = shape
    input_gram, gradient_gram = second_moment(in_features, seed), second_moment(out_features, seed + 1)
    return [
        ("svd", Plain()),
        ("fwsvd", RowWeights(input_gram.diagonal().clone(), "input")),
        ("fwsvd", RowWeights(gradient_gram.diagonal().clone(), "output")),
        ("activation", InputGram(input_gram)),
        ("kfac", Kronecker(input_gram, gradient_gram)),
    ]


def low_rank(method: str, weight: Tensor, norm: WeightingNorm, rank: int) -> Tensor:
    factors = truncate(CLOSED_FORMS[method].decompose(weight, norm, LAYER), rank, LAYER)
    return factors.up.double() @ factors.down.double()


def damped(values: Tensor, damping: float) -> Tensor:
    values = torch.diag(values.double()) if values.ndim == 1 else values.double()
    return values + damping * values.trace() / len(values) * torch.eye(len(values), dtype=torch.float64)


def loss_in(norm: WeightingNorm, error: Tensor) -> float:
    """Half of tr(D A D^T G) with the method's own damping."""
    output, input = (torch.eye(size, dtype=torch.float64) for size in error.shape)
    if isinstance(norm, RowWeights):
        weights = damped(norm.weights, ROW_DAMPING)
        input, output = (weights, output) if norm.axis == "input" else (input, weights)
    elif isinstance(norm, InputGram):
        input = damped(norm.gram / norm.tokens, INPUT_DAMPING)
    elif isinstance(norm, Kronecker):
        input = damped(norm.input_gram / norm.tokens, INPUT_DAMPING)
        output = damped(norm.gradient_gram / norm.examples, GRADIENT_DAMPING)
    return float((error @ input @ error.T @ output).trace() / 2)


@settings(max_examples=25, deadline=None)
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 2**31), rank=st.integers(1, 5))
def test_every_method_is_the_best_in_its_own_norm(shape: tuple[int, int], seed: int, rank: int) -> None:
    weight = matrix(*shape, seed)
    rows = norms_of(shape, seed + 1)
    candidates = [low_rank(method, weight, norm, rank) for method, norm in rows]
    for own, (method, norm) in enumerate(rows):
        losses = [loss_in(norm, weight - candidate) for candidate in candidates]
        total = loss_in(norm, weight.double())
        assert losses[own] == pytest.approx(
            float(CLOSED_FORMS[method].decompose(weight, norm, LAYER).losses[rank]), abs=1e-5 * total
        )
        assert losses[own] <= min(losses) + 1e-5 * total


@pytest.mark.parametrize("shape", SHAPES)
def test_norms_that_differ_lead_to_different_factors(shape: tuple[int, int]) -> None:
    weight = matrix(*shape, 0)
    products = [low_rank(method, weight, norm, 3) for method, norm in norms_of(shape, 1)]
    for index, product in enumerate(products):
        assert all(float((product - other).norm()) > 1e-2 for other in products[:index])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("method", "name"),
    [("fwsvd", "input"), ("fwsvd", "output"), ("activation", "gram"), ("kfac", "gram")],
)
def test_a_norm_that_prefers_nothing_reproduces_svd(method: str, name: str, shape: tuple[int, int]) -> None:
    out_features, in_features = shape
    norms: dict[tuple[str, str], WeightingNorm] = {
        ("fwsvd", "input"): RowWeights(torch.full((in_features,), 3e-7), "input"),
        ("fwsvd", "output"): RowWeights(torch.full((out_features,), 3e7), "output"),
        ("activation", "gram"): InputGram(torch.eye(in_features)),
        ("kfac", "gram"): Kronecker(torch.eye(in_features), torch.eye(out_features)),
    }
    weight = matrix(*shape, 2)
    torch.testing.assert_close(
        low_rank(method, weight, norms[method, name], 4), low_rank("svd", weight, Plain(), 4), rtol=0, atol=1e-5
    )


def statistics_of(shape: tuple[int, int], **changes: Any) -> Statistics:
    out_features, in_features = shape
    layer = LayerStatistics(
        input_gram=second_moment(in_features, 3) * 12,
        gradient_gram=second_moment(out_features, 4) * 5,
        row_input=torch.arange(in_features).float(),
        row_output=torch.arange(out_features).float(),
        element=torch.arange(out_features * in_features).float().view(shape),
    )
    whole = Statistics({LAYER: layer}, 5, 12, ("kfac", "row", "element"), StatisticsSource(model_sha256="abc"))
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("solver", "options"),
    [(solver, {}) for solver in CLOSED_FORMS.values()] + [(CLOSED_FORMS["fwsvd"], {"axis": "output"})],
)
def test_every_closed_form_solves_the_norm_it_names(solver: ClosedForm, options: dict[str, str]) -> None:
    norm = build_norm(solver, statistics_of((6, 10)), LAYER, solver.options(**options))
    assert isinstance(norm, solver.norm)
    weight = matrix(6, 10, 0)
    decomposition = solver.decompose(weight, norm, LAYER)
    error = weight - low_rank(solver.name, weight, norm, 2)
    assert float(decomposition.losses[2]) == pytest.approx(loss_in(norm, error), rel=1e-3)


def norm_of(method: str, statistics: Statistics | None, **options: Any) -> WeightingNorm:
    solver = SOLVERS[method]
    return build_norm(solver, statistics, LAYER, solver.options(**options))


def test_norms_are_means_over_tokens_or_examples() -> None:
    statistics = statistics_of((6, 10))
    kronecker = norm_of("kfac", statistics)
    assert isinstance(kronecker, Kronecker)
    torch.testing.assert_close(kronecker.input_gram / kronecker.tokens, second_moment(10, 3))
    torch.testing.assert_close(kronecker.gradient_gram / kronecker.examples, second_moment(6, 4))
    for axis, size in (("input", 10), ("output", 6)):
        rows = norm_of("fwsvd", statistics, axis=axis)
        assert isinstance(rows, RowWeights)
        torch.testing.assert_close(rows.weights, torch.arange(size) / 5)
    elements = norm_of("em", statistics)
    assert isinstance(elements, ElementWeights)
    torch.testing.assert_close(elements.weights, torch.arange(60).view(6, 10) / 5)


@pytest.mark.parametrize(
    ("method", "statistics", "message"),
    [
        ("kfac", None, "method kfac needs statistics: give task data or a statistics file"),
        ("fwsvd", statistics_of((6, 10), collected=("kfac",)), "fwsvd needs row statistics.*--collect kfac,row"),
        ("als", statistics_of((6, 10), collected=("kfac",)), "als needs element statistics.*--collect kfac,element"),
        ("activation", statistics_of((6, 10), collected=("row",)), "activation needs kfac .*--collect row,kfac"),
        ("kfac", statistics_of((6, 10), layers={LAYER: LayerStatistics()}), f"statistics of {LAYER} are incomplete"),
    ],
)
def test_statistics_that_lack_what_a_method_needs_are_refused(
    method: str, statistics: Statistics | None, message: str
) -> None:
    with pytest.raises(StatisticsError, match=message):
        norm_of(method, statistics)
