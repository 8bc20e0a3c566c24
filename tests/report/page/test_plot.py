"""Figures are ones that plotly draws, of one colour per method, and show names as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure as PlotlyFigure

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.latency_plot import latency_figure
from fwsvd_export.report.page.loss_plot import loss_figure
from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import DENSE, UNKNOWN, colour, hover, padded, shown, spread, symbol
from fwsvd_export.report.page.rank_plot import RankMap, rank_figure
from fwsvd_export.report.page.size_plot import size_figure
from fwsvd_export.report.page.sizes import cells_of
from fwsvd_export.report.page.timings import Speed, Timing
from fwsvd_export.report.page.training_plot import training_figure
from fwsvd_export.solvers.names import METHODS
from tests.report.page.results import HOSTILE, TRAINING, losses, sweep_result, write_all

PROPERTY = re.compile(r"var\(--[\w-]+\)")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    """Of a page of all kinds of folders."""
    page = build_page(write_all(tmp_path_factory.mktemp("results")))
    return [figure for section in page.chapters[0].sections for figure in section.figures]


def with_colours(value: Any) -> Any:
    """A specification with a colour in place of every name of a property."""
    if isinstance(value, dict):
        return {key: with_colours(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_colours(inner) for inner in value]
    return "#123456" if isinstance(value, str) and PROPERTY.fullmatch(value) else value


def properties(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from properties(inner)
    elif isinstance(value, str) and PROPERTY.fullmatch(value):
        yield value


def test_plotly_knows_every_attribute(figures: list[Figure]) -> None:
    plots = [plot for figure in figures for plot in figure.plots]
    assert len(plots) >= 10
    for plot in plots:
        PlotlyFigure(with_colours({"data": plot.data, "layout": plot.layout}))


def test_every_colour_is_a_property_of_the_style(figures: list[Figure]) -> None:
    style = Path(str(build_page.__globals__["__file__"])).with_name("style.css").read_text(encoding="utf-8")
    used = {name for figure in figures for plot in figure.plots for name in properties([plot.data, plot.layout])}
    assert len(used) > 8
    assert [name for name in used if f"{name[4:-1]}:" not in style] == []


def test_every_figure_is_told_in_words(figures: list[Figure]) -> None:
    for figure in figures:
        assert figure.title
        assert figure.summary.endswith(".")
        labels = [plot.label for plot in figure.plots]
        assert len(set(labels)) == len(labels)


def test_a_method_has_one_colour_and_mark_of_its_own() -> None:
    assert len({colour(method) for method in (*METHODS, DENSE, "of tomorrow")}) == len(METHODS) + 2
    assert len({symbol(method) for method in METHODS}) == len(METHODS)
    assert colour("of tomorrow") == colour(UNKNOWN)
    (figure,) = [size_figure(cells_of(sweep_result().rows), "accuracy", 0.884)]
    for plot in figure.plots:
        assert {trace["name"]: trace["line"]["color"] for trace in plot.data} == {m: colour(m) for m in ("svd", "kfac")}


def test_panels_share_their_axes_and_the_dense_line() -> None:
    figure = size_figure(cells_of(sweep_result().rows), "accuracy", 0.884)
    assert [plot.label for plot in figure.plots] == ["Not trained", "Fine-tuned", "Distilled"]
    assert figure.choice == ""
    for axis in ("xaxis", "yaxis"):
        assert len({tuple(plot.layout[axis]["range"]) for plot in figure.plots}) == 1
    for plot in figure.plots:
        (line,) = plot.layout["shapes"]
        assert (line["y0"], line["y1"], line["line"]["dash"]) == (0.884, 0.884, "dash")
        assert plot.layout["xaxis"]["ticktext"] == ["5", "10", "25"]
    assert size_figure(cells_of(sweep_result().rows), "accuracy", None).plots[0].layout["shapes"] == []


def test_bars_reach_over_the_seeds() -> None:
    figure = size_figure(cells_of(sweep_result(seeds=3).rows), "accuracy", 0.884)
    for trace in figure.plots[0].data:
        assert trace["error_y"]["visible"]
        assert trace["error_y"]["array"] == pytest.approx([0.002] * 3)
        assert trace["error_y"]["arrayminus"] == pytest.approx([0.002] * 3)
    assert not size_figure(cells_of(sweep_result(seeds=1).rows), "a", 0.8).plots[0].data[0]["error_y"]["visible"]


def test_sizes_on_a_logarithmic_axis_are_above_nothing() -> None:
    rows = [row for row in sweep_result().rows if row.training == "none"]
    (cell, *_) = cells_of(rows)
    nothing = [type(cell)(**{**vars(cell), "share": 0.0})]
    (plot,) = size_figure(nothing, "accuracy", 0.884).plots
    assert plot.data[0]["x"] == [0.01]


RANK_MAP = RankMap("model", {"l.0.q": 2, "l.0.v": None, "l.1.q": 8}, {"l.0.v": 9}, {"l.1.q": "wide"})


def cells_in(plot: Plot) -> dict[tuple[str, str], tuple[int, str, str]]:
    """(encoder layer, role) -> (number, text, hover) over both traces."""
    found = {}
    for trace in plot.data:
        for row, layer in enumerate(trace["y"]):
            for place, role in enumerate(trace["x"]):
                if trace["z"][row][place] is not None:
                    assert (layer, role) not in found
                    found[layer, role] = tuple(trace[key][row][place] for key in ("z", "text", "customdata"))
    return found


def test_a_heat_map_has_every_layer_once_dense_ones_at_their_full_rank() -> None:
    figure = rank_figure([RANK_MAP])
    assert figure is not None
    assert cells_in(figure.plots[0]) == {
        ("0", "q"): (2, "2", "<b>l.0.q</b><br>rank 2"),
        ("0", "v"): (9, "dense", "<b>l.0.v</b><br>dense"),
        ("1", "q"): (8, "8", "<b>l.1.q</b><br>rank 8<br>wide"),
    }
    assert figure.choice == "Model"
    assert rank_figure([RankMap("dense", {"l.0.q": None}, {}, {})]) is None


def test_the_diagonal_is_drawn_where_both_axes_have_one_unit() -> None:
    same, other = loss_figure(losses()), loss_figure(losses(method="svd"))
    assert same is not None
    assert other is not None
    assert same.plots[0].data[0]["name"] == "as predicted"
    assert same.plots[0].data[0]["x"] == same.plots[0].data[0]["y"]
    assert [trace["name"] for trace in other.plots[0].data] == ["query", "value", "feed_forward"]
    assert loss_figure(losses(layers=())) is None


def test_what_was_not_scored_is_not_drawn() -> None:
    timing = Timing("model", "kfac", "torch", (1, 8), 2.0, 2.0, None, None, None)
    assert latency_figure(Speed((timing,), "accuracy", "")) is None
    assert latency_figure(Speed((Timing(**{**vars(timing), "value": 0.5}),), None, "")) is None
    assert training_figure(replace(TRAINING, steps=())) is None


@pytest.mark.parametrize("text", [HOSTILE, "a\u202eb\nc", "<a href='https://example.org'>x</a>", "&lt;b&gt;"])
def test_plotly_gets_no_markup_from_outside(text: str) -> None:
    assert not re.search(r"[<>\n\u202e]|%\{|&(?!amp;|lt;|gt;|#123;)", shown(text))
    assert hover(shown(text)).startswith("<b>")


def test_long_names_are_cut() -> None:
    assert shown("n" * 500) == "n" * 47 + "…"


def test_margins_and_spreads() -> None:
    assert padded([1.0, 2.0], 0.1) == [0.9, 2.1]
    assert padded([1.0, 1.0], 0.1) == [0.9, 1.1]
    assert spread([0.8, 0.9, 1.0], 0.9) == pytest.approx((0.1, 0.1))
