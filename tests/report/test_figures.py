"""Pictures are written, and a missing library is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fwsvd_export.benchmark.result import BenchModel, BenchRuntime, BenchTiming
from fwsvd_export.errors import MissingExtraError
from fwsvd_export.report.figures import (
    Panel,
    draw_accuracy_and_latency,
    draw_loss_against_seconds,
    draw_metric_against_size,
)

PANEL = Panel("a task", "accuracy", {"svd": [(0.5, 0.7), (0.25, 0.6)], "kfac": [(0.5, 0.89), (0.25, 0.85)]}, dense=0.9)


def test_every_panel_makes_the_picture_wider(tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw_metric_against_size([PANEL], tmp_path / "one.png")
    draw_metric_against_size([PANEL, PANEL], tmp_path / "two.png")
    one, two = imread(tmp_path / "one.png"), imread(tmp_path / "two.png")
    assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=2)
    assert one.std() > 0


def test_convergence_is_drawn_on_a_logarithmic_scale_with_published_methods_dashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    curves = {"em": [(0.01, 0.3), (0.1, 0.2)], "em, published": [(0.1, 0.5), (10, 0.4)]}
    draw_loss_against_seconds([Panel("a layer", "loss", curves)], ", published", tmp_path / "curves.png")
    axis = pyplot.gcf().axes[0]
    ours, published = axis.get_lines()
    assert (axis.get_xscale(), ours.get_linestyle(), published.get_linestyle()) == ("log", "-", "--")
    assert ours.get_color() == published.get_color()
    assert list(published.get_xdata()) == [0.1, 10]
    monkeypatch.undo()
    pyplot.close("all")


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "fwsvd-export\[report\]"'):
        draw_metric_against_size([PANEL], tmp_path / "one.png")


def test_accuracy_per_model_and_latency_per_runtime_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    def model(name: str, milliseconds: float, value: float) -> BenchModel:
        medians = {("torch", 4): 1.0, ("torch", 8): milliseconds, ("unscored", 8): milliseconds / 2}
        return BenchModel(
            model=name,
            sha256=None,
            parameters=1,
            metric="entity_f1",
            value=value,
            examples=1,
            runtimes={"torch": BenchRuntime(1, value), "unscored": BenchRuntime(1)},
            latency=tuple(
                BenchTiming(runtime, 1, length, median, median, speedup=10 / milliseconds)
                for (runtime, length), median in medians.items()
            ),
        )

    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    models = [model("runs/dense", 10.0, 0.9), model("runs/small", 5.0, 0.8)]
    draw_accuracy_and_latency({"dense": 0.9, "svd": 0.6, "small": 0.8}, models, (1, 8), tmp_path / "picture.png")
    values, latencies = pyplot.gcf().axes
    assert [bar.get_height() for bar in values.patches] == [0.9, 0.6, 0.8]
    assert len({bar.get_facecolor() for bar in values.patches}) == 2, "the dense model has a colour of its own"
    assert [bar.get_height() for bar in latencies.patches] == [10, 5, 5, 2.5]
    assert [text.get_text() for text in latencies.texts] == [
        "10.0 ms",
        "5.0 ms",
        "5.0 ms\nx2.0",
        "2.5 ms\nx2.0",
    ]
    labels = [label.get_text() for label in latencies.get_xticklabels()]
    assert labels == ["torch\nentity f1 0.900 / 0.800", "unscored\n"]
    assert [text.get_text() for text in latencies.get_legend().get_texts()] == ["dense", "small"]
    assert values.get_ylabel() == "entity f1"
    monkeypatch.undo()
    pyplot.close("all")
