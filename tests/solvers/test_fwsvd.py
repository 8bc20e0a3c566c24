from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from fwsvd_export.errors import SolverOptionError
from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import RowWeights
from fwsvd_export.solvers.fwsvd import FwsvdOptions, decompose_rows
from fwsvd_export.solvers.names import AXES


def low_rank(weight: Tensor, norm: RowWeights, rank: int) -> Tensor:
    factors = truncate(decompose_rows(weight, norm, "layer"), rank, "layer")
    return factors.up.double() @ factors.down.double()


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
@pytest.mark.parametrize("axis", ["input", "output"])
def test_features_without_fisher_cost_nothing_and_the_others_are_kept(shape: tuple[int, int], axis: str) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    dimension = 1 if axis == "input" else 0
    weights = torch.zeros(shape[dimension])
    weights[:3] = torch.tensor([1.0, 2.0, 0.5])
    product = low_rank(weight, RowWeights(weights, axis), 3)
    kept = (weight - product).narrow(dimension, 0, 3)
    assert float(kept.norm()) < 1e-3 * float(weight.norm())
    assert bool(torch.isfinite(product).all())


def test_the_transposed_weight_has_the_transposed_answer_on_the_other_axis() -> None:
    generator = torch.Generator().manual_seed(1)
    weight, weights = torch.randn(6, 10, generator=generator), torch.rand(10, generator=generator)
    paper = low_rank(weight, RowWeights(weights, "input"), 3)
    other = low_rank(weight.T, RowWeights(weights, "output"), 3)
    torch.testing.assert_close(paper, other.T, rtol=0, atol=1e-5)


def test_the_axis_is_the_papers_unless_another_is_asked_for() -> None:
    assert FwsvdOptions().axis == "input"
    assert [FwsvdOptions(axis).axis for axis in AXES] == ["input", "output"]


@pytest.mark.parametrize("axis", ["sideways", "Input", "", "0"])
def test_an_unknown_axis_is_refused(axis: str) -> None:
    with pytest.raises(SolverOptionError, match=f"^{re.escape(f'axis={axis}: input or output is allowed')}$"):
        FwsvdOptions(axis)
