from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.compression.norms import build_norm
from fwsvd_export.errors import StatisticsError
from fwsvd_export.records import (
    COLLECTIONS,
    ElementWeights,
    LayerStatistics,
    RowWeights,
    Statistics,
    StatisticsSource,
    WeightingNorm,
)
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS

LAYER = "encoder.layer.0.intermediate.dense"
ITERATIVE = [name for name, solver in SOLVERS.items() if isinstance(solver, Iterative)]


def statistics_of(collected: tuple[str, ...] = COLLECTIONS, **changes: Any) -> Statistics:
    """Five examples with twelve tokens of a weight (2, 3)."""
    whole = {
        "input_gram": torch.eye(3),
        "gradient_gram": torch.eye(2),
        "row_input": torch.ones(3),
        "row_output": torch.ones(2),
        "element": torch.arange(6.0).view(2, 3),
    }
    return Statistics({LAYER: LayerStatistics(**{**whole, **changes})}, 5, 12, collected, StatisticsSource("abc"))


def tensors_of(norm: Any) -> list[Tensor]:
    values = [getattr(norm, field.name) for field in fields(norm)]
    return [value for value in values if isinstance(value, Tensor)]


def norm_of(method: str, statistics: Statistics | None, device: str = "cpu", **options: str) -> WeightingNorm:
    solver = SOLVERS[method]
    return build_norm(solver, statistics, LAYER, solver.options(**options), torch.device(device))


@pytest.mark.parametrize("method", ITERATIVE)
def test_element_weights_are_the_mean_over_examples(method: str) -> None:
    norm = norm_of(method, statistics_of())
    assert isinstance(norm, ElementWeights)
    torch.testing.assert_close(norm.weights, torch.tensor([[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]]))


@pytest.mark.parametrize(("axis", "weights"), [("input", [0.2, 0.4, 0.6]), ("output", [1.0, 2.0])])
def test_row_weights_are_those_of_the_axis(axis: str, weights: list[float]) -> None:
    rows = {"row_input": torch.tensor([1.0, 2.0, 3.0]), "row_output": torch.tensor([5.0, 10.0])}
    norm = norm_of("fwsvd", statistics_of(**rows), axis=axis)
    assert isinstance(norm, RowWeights)
    assert norm.axis == axis
    torch.testing.assert_close(norm.weights, torch.tensor(weights))


@pytest.mark.parametrize(
    ("method", "options"),
    [(name, {}) for name, solver in SOLVERS.items() if solver.needs] + [("fwsvd", {"axis": "output"})],
)
def test_norms_lie_on_the_device_they_are_asked_for(method: str, options: dict[str, str]) -> None:
    statistics = statistics_of()
    there, here = (tensors_of(norm_of(method, statistics, device, **options)) for device in ("meta", "cpu"))
    assert {tensor.device.type for tensor in there} == {"meta"}
    assert [tensor.shape for tensor in there] == [tensor.shape for tensor in here]
    assert {tensor.device.type for tensor in here} == {"cpu"}


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (None, "needs statistics: give task data or a statistics file"),
        (statistics_of(("kfac", "row")), "needs element .* hold kfac, row; .* with --collect kfac,row,element$"),
        (statistics_of(("row",)), "needs element .* hold row; collect again with --collect row,element$"),
        (statistics_of(element=None), f"the statistics of {LAYER} are incomplete"),
    ],
)
def test_statistics_without_element_weights_are_refused(
    method: str, statistics: Statistics | None, message: str
) -> None:
    with pytest.raises(StatisticsError, match=message):
        norm_of(method, statistics)
