"""Element-weighted problems and the loss that the solvers answer for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fwsvd_export.records import Factors
from fwsvd_export.solvers.problem import LayerProblem


@pytest.fixture(scope="session")
def make_problem() -> Callable[..., LayerProblem]:
    """A function that makes one: make_problem(seed, shape=(24, 64), rank=6, spread=1.0).

    The weight has a decaying spectrum; ``spread`` is how far the weights are from a product, in powers of e.
    """

    def make(seed: int, shape: tuple[int, int] = (24, 64), rank: int = 6, spread: float = 1.0) -> LayerProblem:
        generator = torch.Generator().manual_seed(seed)
        rows, columns = shape

        def normal(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator)

        weight = (normal(rows, rows) * torch.logspace(0, -1.5, rows)) @ normal(rows, columns)
        elements = (spread * normal(rows, columns) + normal(rows, 1) + normal(1, columns)).exp()
        return LayerProblem(weight, elements, rank, "encoder.layer.0.output.dense")

    return make


@pytest.fixture(scope="session")
def loss_of() -> Callable[[LayerProblem, Factors], float]:
    """A function that gives half the weighted squared error of factors, in float64."""

    def loss(problem: LayerProblem, factors: Factors) -> float:
        error = problem.weight.double() - factors.up.double() @ factors.down.double()
        return float((problem.elements.double() * error.square()).sum()) / 2

    return loss
