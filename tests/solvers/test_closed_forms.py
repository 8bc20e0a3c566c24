from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.compression.norms import build_metric
from fwsvd_export.errors import RankError, StatisticsError
from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import (
    ElementWeights,
    InputGram,
    Kronecker,
    LayerStatistics,
    Metric,
    Plain,
    RowWeights,
    Statistics,
    StatisticsSource,
)
from fwsvd_export.solvers.activation import INPUT_DAMPING
from fwsvd_export.solvers.fwsvd import ROW_DAMPING
from fwsvd_export.solvers.kfac import GRADIENT_DAMPING
from fwsvd_export.solvers.table import SOLVERS, ClosedForm, Iterative

LAYER = "encoder.layer.0.intermediate.dense"
SHAPES = [(6, 10), (10, 6), (8, 8)]
CLOSED_FORMS = {name: solver for name, solver in SOLVERS.items() if isinstance(solver, ClosedForm)}


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def second_moment(size: int, seed: int) -> Tensor:
    """Of features of very different strength."""
    rows = matrix(3 * size, size, seed) * torch.logspace(-2, 1, size)
    return rows.T @ rows / (3 * size)


def metrics_of(shape: tuple[int, int], seed: int) -> list[tuple[str, Metric]]:
    """Each method with a metric for it; fwsvd in both orientations."""
    out_features, in_features = shape
    input_gram, gradient_gram = second_moment(in_features, seed), second_moment(out_features, seed + 1)
    return [
        ("svd", Plain()),
        ("fwsvd", RowWeights(input_gram.diagonal().clone(), "input")),
        ("fwsvd", RowWeights(gradient_gram.diagonal().clone(), "output")),
        ("activation", InputGram(input_gram)),
        ("kfac", Kronecker(input_gram, gradient_gram)),
    ]


def low_rank(method: str, weight: Tensor, metric: Metric, rank: int) -> Tensor:
    factors = truncate(CLOSED_FORMS[method].decompose(weight, metric, LAYER), rank, LAYER)
    return factors.up.double() @ factors.down.double()


def damped(values: Tensor, damping: float) -> Tensor:
    values = torch.diag(values.double()) if values.ndim == 1 else values.double()
    return values + damping * values.trace() / len(values) * torch.eye(len(values), dtype=torch.float64)


def loss_in(metric: Metric, error: Tensor) -> float:
    """Half of tr(D A D^T G) with the method's own damping."""
    output, input = (torch.eye(size, dtype=torch.float64) for size in error.shape)
    if isinstance(metric, RowWeights):
        weights = damped(metric.weights, ROW_DAMPING)
        input, output = (weights, output) if metric.axis == "input" else (input, weights)
    elif isinstance(metric, InputGram):
        input = damped(metric.gram / metric.tokens, INPUT_DAMPING)
    elif isinstance(metric, Kronecker):
        input = damped(metric.input_gram / metric.tokens, INPUT_DAMPING)
        output = damped(metric.gradient_gram / metric.examples, GRADIENT_DAMPING)
    return float((error @ input @ error.T @ output).trace() / 2)


@settings(max_examples=25, deadline=None)
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 2**31), rank=st.integers(1, 5))
def test_every_method_is_the_best_in_its_own_metric(shape: tuple[int, int], seed: int, rank: int) -> None:
    weight = matrix(*shape, seed)
    rows = metrics_of(shape, seed + 1)
    candidates = [low_rank(method, weight, metric, rank) for method, metric in rows]
    for own, (method, metric) in enumerate(rows):
        losses = [loss_in(metric, weight - candidate) for candidate in candidates]
        total = loss_in(metric, weight.double())
        assert losses[own] == pytest.approx(
            float(CLOSED_FORMS[method].decompose(weight, metric, LAYER).losses[rank]), abs=1e-5 * total
        )
        assert losses[own] <= min(losses) + 1e-5 * total


@pytest.mark.parametrize("shape", SHAPES)
def test_metrics_that_differ_lead_to_different_factors(shape: tuple[int, int]) -> None:
    weight = matrix(*shape, 0)
    products = [low_rank(method, weight, metric, 3) for method, metric in metrics_of(shape, 1)]
    for index, product in enumerate(products):
        assert all(float((product - other).norm()) > 1e-2 for other in products[:index])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("method", "name"),
    [("fwsvd", "input"), ("fwsvd", "output"), ("activation", "gram"), ("kfac", "gram")],
)
def test_a_metric_that_prefers_nothing_reproduces_svd(method: str, name: str, shape: tuple[int, int]) -> None:
    out_features, in_features = shape
    metrics: dict[tuple[str, str], Metric] = {
        ("fwsvd", "input"): RowWeights(torch.full((in_features,), 3e-7), "input"),
        ("fwsvd", "output"): RowWeights(torch.full((out_features,), 3e7), "output"),
        ("activation", "gram"): InputGram(torch.eye(in_features)),
        ("kfac", "gram"): Kronecker(torch.eye(in_features), torch.eye(out_features)),
    }
    weight = matrix(*shape, 2)
    torch.testing.assert_close(
        low_rank(method, weight, metrics[method, name], 4), low_rank("svd", weight, Plain(), 4), rtol=0, atol=1e-5
    )


def test_constant_gradient_statistics_turn_kfac_into_activation() -> None:
    weight, gram = matrix(6, 10, 0), second_moment(10, 1)
    kronecker = low_rank("kfac", weight, Kronecker(gram, 5 * torch.eye(6)), 3)
    torch.testing.assert_close(kronecker, low_rank("activation", weight, InputGram(gram), 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", ["input", "output"])
def test_features_without_fisher_cost_nothing_and_the_others_are_kept(shape: tuple[int, int], axis: str) -> None:
    weight = matrix(*shape, 0)
    dimension = 1 if axis == "input" else 0
    weights = torch.zeros(shape[dimension])
    weights[:3] = torch.tensor([1.0, 2.0, 0.5])
    product = low_rank("fwsvd", weight, RowWeights(weights, axis), 3)
    kept = (weight - product).narrow(dimension, 0, 3)
    assert float(kept.norm()) < 1e-3 * float(weight.norm())
    assert bool(torch.isfinite(product).all())


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


@pytest.mark.parametrize("axis", ["input", "output"])
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_every_row_of_the_table_names_a_metric_that_can_be_built(solver: ClosedForm | Iterative, axis: str) -> None:
    assert SOLVERS[solver.name] is solver
    assert (solver.needs is None) == (solver.metric is Plain)
    assert solver.minimises
    assert solver.source
    statistics = None if solver.needs is None else statistics_of((6, 10))
    assert isinstance(build_metric(solver, statistics, LAYER, axis), solver.metric)


@pytest.mark.parametrize("axis", ["input", "output"])
@pytest.mark.parametrize("solver", CLOSED_FORMS.values(), ids=CLOSED_FORMS)
def test_every_closed_form_solves_the_metric_it_names(solver: ClosedForm, axis: str) -> None:
    metric = build_metric(solver, statistics_of((6, 10)), LAYER, axis)
    weight = matrix(6, 10, 0)
    decomposition = solver.decompose(weight, metric, LAYER)
    error = weight - low_rank(solver.name, weight, metric, 2)
    assert float(decomposition.losses[2]) == pytest.approx(loss_in(metric, error), rel=1e-3)


def test_metrics_are_means_over_tokens_or_examples() -> None:
    statistics = statistics_of((6, 10))
    kronecker = build_metric(SOLVERS["kfac"], statistics, LAYER, "input")
    assert isinstance(kronecker, Kronecker)
    torch.testing.assert_close(kronecker.input_gram / kronecker.tokens, second_moment(10, 3))
    torch.testing.assert_close(kronecker.gradient_gram / kronecker.examples, second_moment(6, 4))
    for axis, size in (("input", 10), ("output", 6)):
        rows = build_metric(SOLVERS["fwsvd"], statistics, LAYER, axis)
        assert isinstance(rows, RowWeights)
        torch.testing.assert_close(rows.weights, torch.arange(size) / 5)
    elements = build_metric(SOLVERS["em"], statistics, LAYER, "input")
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
        build_metric(SOLVERS[method], statistics, LAYER, "input")


def test_an_unknown_orientation_is_refused() -> None:
    with pytest.raises(RankError, match="axis 'sideways': input or output"):
        build_metric(SOLVERS["fwsvd"], statistics_of((6, 10)), LAYER, "sideways")
