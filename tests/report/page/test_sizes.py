"""Seeds of one cell stand together, and their intervals are held by the cell's."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.report.page.sizes import asked, cells_of
from tests.report.page.results import sweep_result, sweep_row


def test_a_cell_has_the_mean_and_the_values_of_its_seeds() -> None:
    rows = [sweep_row("kfac", 0.1, 0.80, seed=0), sweep_row("kfac", 0.1, 0.90, seed=1), sweep_row("svd", 0.1, 0.5)]
    kfac, svd = cells_of(rows)
    assert (kfac.method, kfac.asked, kfac.values) == ("kfac", "10 %", (0.80, 0.90))
    assert round(kfac.value, 9) == 0.85
    assert svd.values == (0.5,)


def test_the_interval_holds_those_of_all_seeds_or_is_left_out() -> None:
    low, high = sweep_row("kfac", 0.1, 0.80), sweep_row("kfac", 0.1, 0.90, seed=1)
    assert low.difference is not None
    assert high.difference is not None
    (cell,) = cells_of([low, high])
    assert cell.interval == (0.95, low.difference.low, high.difference.high)
    (cell,) = cells_of([low, replace(high, difference=None)])
    assert cell.interval is None
    (cell,) = cells_of([low, replace(high, difference=replace(high.difference, confidence=0.9))])
    assert cell.interval is None, "intervals of different confidence say nothing together"


def test_sizes_that_look_alike_are_not_seeds_of_one() -> None:
    rows = [sweep_row("kfac", ratio, 0.8) for ratio in (0.0251, 0.0249)]
    assert [cell.values for cell in cells_of(rows)] == [(0.8,), (0.8,)]


def test_training_and_size_make_cells() -> None:
    result = sweep_result(seeds=2)
    cells = cells_of(result.rows)
    assert len(cells) == len(result.rows) / 2 == 2 * 3 * 3
    assert asked(replace(result.rows[0], ratio=None, rank=64)) == "rank 64"
    assert asked(replace(result.rows[0], ratio=None)) == ""
