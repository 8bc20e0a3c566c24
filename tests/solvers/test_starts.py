from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import RowWeights
from fwsvd_export.solvers.fwsvd import decompose_rows
from fwsvd_export.solvers.options import START_NAMES
from fwsvd_export.solvers.problem import LayerProblem, iterate_at, scaled, unscaled
from fwsvd_export.solvers.starts import SPARE_DIRECTIONS, STARTS, start_factors

Make = Callable[..., LayerProblem]


def test_the_names_that_options_allow_are_those_of_the_starts() -> None:
    assert set(START_NAMES) == set(STARTS)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("shape", [(24, 64), (64, 24)])
def test_the_start_is_the_closed_form_in_the_layers_own_coordinates(
    start: str, shape: tuple[int, int], make_problem: Make
) -> None:
    layer = make_problem(0, shape=shape)
    problem = scaled([layer])
    up, down = start_factors(problem, [layer], start)
    assert up.shape == (1, 24, layer.rank + SPARE_DIRECTIONS)
    assert down.shape == (1, layer.rank + SPARE_DIRECTIONS, 64)
    factors = unscaled(problem, iterate_at(problem, up[:, :, : layer.rank], down[:, : layer.rank]), 0, layer)
    closed = truncate(STARTS[start](layer.weight, layer.elements, layer.layer), layer.rank, layer.layer)
    torch.testing.assert_close(factors.up @ factors.down, closed.up @ closed.down, rtol=0, atol=1e-4)


def test_there_are_no_more_directions_than_the_weight_has(make_problem: Make) -> None:
    layer = make_problem(0, shape=(10, 20))
    up, _ = start_factors(scaled([layer]), [layer], "svd")
    assert up.shape == (1, 10, 10)


def test_the_row_start_is_fwsvd_on_the_sums_of_the_columns(make_problem: Make) -> None:
    layer = make_problem(0)
    row = truncate(STARTS["row"](layer.weight, layer.elements, "layer"), 4, "layer")
    weighted = decompose_rows(layer.weight, RowWeights(layer.elements.sum(0), "input"), "layer")
    exact = truncate(weighted, 4, "layer")
    torch.testing.assert_close(row.up @ row.down, exact.up @ exact.down, rtol=0, atol=1e-4)


def test_the_rank_one_start_is_exact_for_products(make_problem: Make) -> None:
    layer = make_problem(0)
    rows, columns = layer.elements[:, :1].double(), layer.elements[:1].double()
    layer = replace(layer, elements=(rows * columns).float())
    start = truncate(STARTS["rank-one"](layer.weight, layer.elements, "layer"), 4, "layer")
    left, values, right = torch.linalg.svd(rows.sqrt() * layer.weight.double() * columns.sqrt(), full_matrices=False)
    best = (left[:, :4] * values[:4]) @ right[:4] / rows.sqrt() / columns.sqrt()
    torch.testing.assert_close((start.up @ start.down).double(), best, rtol=0, atol=1e-4)
