from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fwsvd_export.records import Factors
from fwsvd_export.solvers.problem import LayerProblem, balanced, iterate_at, scaled, unscaled

Make = Callable[..., LayerProblem]
Loss = Callable[[LayerProblem, Factors], float]


def normal(*size: int, seed: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(24, 64), (64, 24)])
def test_the_scaled_loss_is_the_share_of_the_energy(shape: tuple[int, int], make_problem: Make, loss_of: Loss) -> None:
    layer = make_problem(0, shape=shape)
    problem = scaled([layer])
    iterate = iterate_at(problem, 0.1 * normal(1, 24, layer.rank, seed=1), normal(1, layer.rank, 64, seed=2))
    factors = unscaled(problem, iterate, 0, layer)
    assert (factors.up.shape[0], factors.down.shape[1]) == shape
    assert float(iterate.loss[0] * problem.energy[0]) == pytest.approx(loss_of(layer, factors), rel=1e-4)
    energy = (layer.elements.double() * layer.weight.double().square()).sum() / 2
    assert float(problem.energy[0]) == pytest.approx(float(energy))


def test_weights_that_are_a_product_become_equal(make_problem: Make) -> None:
    layer = make_problem(0)
    product = layer.elements[:, :1] * layer.elements[:1]
    weights = scaled([replace(layer, elements=product)]).weights
    torch.testing.assert_close(weights, torch.ones_like(weights), rtol=1e-4, atol=0)


def test_tall_layers_are_stacked_with_wide_ones(make_problem: Make) -> None:
    wide = make_problem(0)
    tall = replace(wide, weight=wide.weight.T, elements=wide.elements.T)
    assert (wide.tall, tall.tall) == (False, True)
    problem = scaled([wide, tall])
    torch.testing.assert_close(problem.target[0], problem.target[1])
    assert torch.equal(problem.kept(torch.tensor([1])).target, problem.target[1:])


def test_the_pull_is_minus_half_of_the_gradient(make_problem: Make) -> None:
    problem = scaled([make_problem(0)])
    iterate = iterate_at(problem, normal(1, 24, 6, seed=1), normal(1, 6, 64, seed=2))
    point = (iterate.up @ iterate.down).requires_grad_()
    (problem.weights * (problem.target - point).square()).sum().backward()  # type: ignore[no-untyped-call]
    assert point.grad is not None
    torch.testing.assert_close(iterate.pull, -point.grad / 2, rtol=1e-4, atol=1e-4)


def test_balanced_factors_have_the_same_product_and_equal_lengths() -> None:
    up, down = normal(8, 3, seed=1).double() * 1e6, normal(3, 9, seed=2).double() * 1e-6
    factors = balanced(up, down)
    torch.testing.assert_close((factors.up @ factors.down).double(), up @ down, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(factors.up.norm(dim=0), factors.down.norm(dim=1), rtol=1e-5, atol=0)
