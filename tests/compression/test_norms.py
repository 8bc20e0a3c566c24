from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.compression.norms import build_metric
from fwsvd_export.errors import StatisticsError
from fwsvd_export.records import COLLECTIONS, ElementWeights, LayerStatistics, Statistics, StatisticsSource
from fwsvd_export.solvers.table import SOLVERS, Iterative

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


def tensors_of(metric: Any) -> list[Tensor]:
    values = [getattr(metric, field.name) for field in fields(metric)]
    return [value for value in values if isinstance(value, Tensor)]


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("axis", ["input", "output"])
def test_element_weights_are_the_mean_over_examples(method: str, axis: str) -> None:
    metric = build_metric(SOLVERS[method], statistics_of(), LAYER, axis)
    assert isinstance(metric, ElementWeights)
    torch.testing.assert_close(metric.weights, torch.tensor([[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]]))


@pytest.mark.parametrize("axis", ["input", "output"])
@pytest.mark.parametrize("method", [name for name, solver in SOLVERS.items() if solver.needs])
def test_metrics_lie_on_the_device_they_are_asked_for(method: str, axis: str) -> None:
    statistics = statistics_of()
    there, here = (
        tensors_of(build_metric(SOLVERS[method], statistics, LAYER, axis, torch.device(device)))
        for device in ("meta", "cpu")
    )
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
        build_metric(SOLVERS[method], statistics, LAYER, "input")
