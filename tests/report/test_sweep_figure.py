"""The picture of a sweep: a panel per training, a line per method, at the sizes that there are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.errors import MissingExtraError
from fwsvd_export.report.sweep_figure import STYLES, draw_sweep
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.sweep.result import SweepRow, Training
from tests.sweep.test_result import RESULT, ROW

pyplot = pytest.importorskip("matplotlib.pyplot")


def rows(methods: Sequence[str], ratios: Sequence[float], *trainings: Training, seeds: int = 1) -> tuple[SweepRow, ...]:
    return tuple(
        replace(
            ROW, method=method, ratio=ratio, linear_ratio=ratio, seed=seed, training=training, value=0.8 + seed / 100
        )
        for method in methods
        for ratio in ratios
        for training in trainings
        for seed in range(seeds)
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that draws rows and hands over the panels."""

    def draw(some: tuple[SweepRow, ...]) -> list[Any]:
        kept: list[Any] = []
        monkeypatch.setattr(pyplot, "close", kept.append)
        draw_sweep(replace(RESULT, rows=some), tmp_path / "sweep.png")
        assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
        return list(kept[0].axes)

    yield draw
    monkeypatch.undo()
    pyplot.close("all")


def test_every_method_has_a_colour_and_a_marker_of_its_own() -> None:
    assert tuple(STYLES) == METHODS
    assert (
        len({colour for colour, _ in STYLES.values()}) == len({marker for _, marker in STYLES.values()}) == len(STYLES)
    )


def test_a_panel_per_training_with_the_dense_line_dashed_and_a_line_per_method(drawn: Any) -> None:
    panels = drawn(rows(["kfac", "svd"], [0.5, 0.1], "none", "distilled", seeds=3))
    assert [panel.get_title() for panel in panels] == ["compressed", "compressed, distilled"]
    for panel in panels:
        dense, svd, kfac = panel.get_lines()
        assert (dense.get_linestyle(), set(dense.get_ydata())) == ("--", {RESULT.dense.value})
        assert (svd.get_color(), kfac.get_color()) == (STYLES["svd"][0], STYLES["kfac"][0])
        assert list(kfac.get_xdata()) == pytest.approx([10, 50])
        assert list(kfac.get_ydata()) == pytest.approx([0.81, 0.81])
        band = panel.collections[0].get_paths()[0].get_extents()
        assert (band.y0, band.y1) == pytest.approx((0.8, 0.82))


def test_far_sizes_are_on_a_logarithmic_axis_with_the_sizes_for_ticks(drawn: Any) -> None:
    (panel,) = drawn(rows(["svd"], [0.5, 0.25, 0.1], "none"))
    assert panel.get_xscale() == "log"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["10", "25", "50"]
    (panel,) = drawn(rows(["svd"], [0.5, 0.4], "none"))
    assert panel.get_xscale() == "linear"
    many = [place / 100 for place in range(5, 60)]
    (panel,) = drawn(rows(["svd"], many, "none"))
    assert len(panel.get_xticks()) < 15


def test_ranks_are_drawn_at_the_share_that_they_keep(drawn: Any) -> None:
    some = tuple(
        replace(row, ratio=None, rank=int(100 * row.linear_ratio)) for row in rows(["als"], [0.4, 0.02], "none")
    )
    (panel,) = drawn(some)
    assert list(panel.get_lines()[1].get_xdata()) == pytest.approx([2, 40])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["2", "40"]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"fwsvd-export\[report\]"):
        draw_sweep(replace(RESULT, rows=rows(["svd"], [0.5], "none")), tmp_path / "sweep.png")
