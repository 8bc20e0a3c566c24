"""The cells of a grid: all combinations, once each; shards share them out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.errors import SweepError
from fwsvd_export.records import Budget
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.sweep.grid import Cell, Grid
from fwsvd_export.sweep.result import TRAININGS

RATIOS = tuple(Budget(ratio=ratio) for ratio in (0.5, 0.25, 0.1))


def some(values: Any) -> Any:
    """A strategy of tuples that hold every value at most once, and at least one."""
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple)


grids = st.builds(Grid, some(METHODS), some(RATIOS), some(TRAININGS), some(range(3)))


@given(grids, st.integers(1, 5))
def test_the_shards_of_a_grid_hold_every_cell_once_and_their_numbers_differ_by_one_at_most(
    grid: Grid, parts: int
) -> None:
    cells = grid.cells
    count = len(grid.methods) * len(grid.sizes) * len(grid.trainings) * len(grid.seeds)
    assert len(cells) == len(set(cells)) == count
    shares = [grid.share(part, parts) for part in range(1, min(parts, count) + 1)]
    assert sorted(map(str, cells)) == sorted(str(cell) for share in shares for cell in share)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(grids)
def test_the_cells_of_one_model_stand_together_whatever_the_seed(grid: Grid) -> None:
    lines = [(cell.method, cell.size, cell.training) for cell in grid.cells]
    assert len([line for line, before in zip(lines[1:], lines, strict=False) if line != before]) == len(set(lines)) - 1


def test_a_cell_knows_what_its_training_begins_with_and_where_it_stands() -> None:
    cell = Cell("als", Budget(rank=8), "finetuned", 2)
    assert cell.start == Cell("als", Budget(rank=8), "none", 2)
    assert cell.start.start == cell.start
    assert (cell.line, cell.start.line, cell.size) == ("als, finetuned", "als", "rank 8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"methods": ()}, "no method is given: a sweep needs at least one"),
        ({"sizes": ()}, "no size is given"),
        ({"trainings": ()}, "no training is given"),
        ({"seeds": ()}, "no seed is given"),
        ({"methods": ("svd", "kfac", "svd")}, "method svd is given twice; name each one once"),
        ({"sizes": (Budget(ratio=0.5), Budget(ratio=0.50))}, "size ratio 0.5 is given twice"),
        ({"sizes": (Budget(rank=5), Budget(rank=5))}, "size rank 5 is given twice"),
        ({"trainings": ("none", "pruned")}, "training 'pruned': one of none, finetuned, distilled is allowed"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SweepError) as caught:
        Grid(**{"methods": ("svd",), "sizes": RATIOS, **change})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("shard", "said"),
    [
        ((0, 2), "shard 0/2: I/N with 1 <= I <= N is allowed"),
        ((3, 2), "shard 3/2: I/N"),
        ((4, 9), "shard 4/9 has nothing to do, the grid has 3 cells; make fewer shards"),
    ],
)
def test_a_shard_outside_its_range_or_without_cells_is_refused(shard: tuple[int, int], said: str) -> None:
    with pytest.raises(SweepError) as caught:
        Grid(("svd",), RATIOS).share(*shard)
    assert said in str(caught.value)
