"""The report of one compression: its files, its numbers, and what it says of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from fwsvd_export.checkpoints.record import CompressionRecord, RecordedParameters
from fwsvd_export.errors import MissingExtraError, OutputError
from fwsvd_export.evaluation.layer_losses import LayerLoss, LayerLosses
from fwsvd_export.report import compression as module
from fwsvd_export.report.compression import DOUBTFUL, rank_correlation, verdict, write_report
from fwsvd_export.report.figures import draw_predicted_against_measured

PREDICTED = [0.01, 0.4, 0.2, 0.03]
MEASURED = [0.02, 0.2, 0.1, 0.03]  # in the same order
RECORD = CompressionRecord(
    base_model="some-bert",
    base_sha256=None,
    method="kfac",
    allocate="greedy",
    parameters=RecordedParameters(16_384, 4_096, 0.25, 21_186, 8_898),
    layers=(),
    fisher=None,
)
TOO_FEW = "Too few layers are factorised to say whether the predictions can be trusted."


def losses_of(predicted: list[float], measured: list[float]) -> LayerLosses:
    names = ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
    pairs = enumerate(zip(predicted, measured, strict=True))
    return LayerLosses(
        tuple(LayerLoss(f"encoder.layer.{n // 4}.{names[n % 4]}", 3 + n, *pair) for n, pair in pairs), 123
    )


@pytest.fixture
def losses() -> LayerLosses:
    return losses_of(PREDICTED, MEASURED)


def test_the_folder_holds_a_page_a_figure_and_the_numbers(losses: LayerLosses, tmp_path: Path) -> None:
    content = write_report(tmp_path / "report", RECORD, losses)
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"losses.json", "losses.png", "report.md"}
    stored = json.loads((tmp_path / "report" / "losses.json").read_text())
    assert stored == json.loads(json.dumps(content))
    assert stored == {
        "rank_correlation": 1.0,
        "layers": [
            {"name": loss.name, "rank": loss.rank, "predicted": loss.predicted, "measured": loss.measured}
            for loss in losses.layers
        ],
        "examples": 123,
        "base_model": "some-bert",
        "base_sha256": None,
        "method": "kfac",
    }
    assert LayerLosses(tuple(LayerLoss(**row) for row in stored["layers"]), stored["examples"]) == losses
    assert imread(tmp_path / "report" / "losses.png").std() > 0


def test_the_page_says_what_was_compressed_and_how_well_it_was_predicted(losses: LayerLosses, tmp_path: Path) -> None:
    write_report(tmp_path / "report", RECORD, losses)
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# some-bert, compressed with kfac, greedy ranks\n")
    assert "4,096 of 16,384 linear weights (25.0 %), 8,898 of 21,186 parameters." in page
    assert verdict(losses.layers, 1.0, same_unit=True) in page
    assert "on 123 calibration examples when this layer alone is replaced, before reconstruction." in page
    assert "(losses.png)" in page
    rows = [line for line in page.splitlines() if line.startswith("| encoder")]
    assert rows[0] == "| encoder.layer.0.attention.self.query | 3 | 0.01 | 0.02 |"
    assert len(rows) == len(losses.layers)
    assert page.endswith("|\n")


@pytest.mark.parametrize(("method", "same_unit"), [("kfac", True), ("fwsvd", False), ("svd", False)])
def test_only_kfac_predicts_in_the_unit_of_the_loss(
    method: str, same_unit: bool, losses: LayerLosses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bool] = []

    def draw(*arguments: Any, same_unit: bool) -> None:
        drawn.append(same_unit)
        draw_predicted_against_measured(*arguments, same_unit=same_unit)

    monkeypatch.setattr(module, "draw_predicted_against_measured", draw)
    write_report(tmp_path / "report", replace(RECORD, method=method), losses)
    assert ("times the predicted ones" in (tmp_path / "report" / "report.md").read_text()) is same_unit
    assert drawn == [same_unit]


@pytest.mark.parametrize(
    ("predicted", "measured", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1e-9, 1, 2, 1e9], [0, 1, 5, 6], 1.0),
        ([1, 2, 2, 2], [1, 2, 3, 4], None),
        ([1, 2, 3, 4], [0, 0, 0, 0.1], None),
        ([1, 2], [1, 2], None),
        ([], [], None),
    ],
)
def test_the_agreement_is_that_of_the_order(
    predicted: list[float], measured: list[float], expected: float | None
) -> None:
    found = rank_correlation(losses_of(predicted, measured).layers)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("agreement", "same_unit", "sentence"),
    [
        (None, True, TOO_FEW),
        (None, False, TOO_FEW),
        (
            DOUBTFUL - 0.01,
            False,
            "The predictions order the layers badly (rank correlation 0.49): do not trust them; more calibration data "
            "or --allocate uniform may do better.",
        ),
        (DOUBTFUL, False, "The predictions order the layers usefully (rank correlation 0.50)."),
        (
            0.9,
            True,
            "The predictions order the layers usefully (rank correlation 0.90). Measured losses are 0.5 to 2 times the "
            "predicted ones (median 0.75).",
        ),
        (
            -0.2,
            True,
            "The predictions order the layers badly (rank correlation -0.20): do not trust them; more calibration data "
            "or --allocate uniform may do better. Measured losses are 0.5 to 2 times the predicted ones (median 0.75).",
        ),
    ],
)
def test_the_verdict(agreement: float | None, same_unit: bool, sentence: str, losses: LayerLosses) -> None:
    assert verdict(losses.layers, agreement, same_unit) == sentence


def test_layers_of_which_nothing_was_predicted_have_no_ratio() -> None:
    some = losses_of([0.0, 0.1, 0.2, 0.3], [0.5, 0.1, 0.2, 0.3])
    assert verdict(some.layers, 0.9, same_unit=True).endswith("1 to 1 times the predicted ones (median 1).")
    none = losses_of([0.0] * 4, MEASURED)
    assert verdict(none.layers, 0.9, same_unit=True).endswith("(rank correlation 0.90).")


@pytest.mark.parametrize(
    ("predicted", "measured"), [([], []), ([0.1], [0.2]), ([0.0, 0.1, 0.2], [-1e-8, 0.0, 1e-3]), ([0.0], [0.0])]
)
def test_few_layers_and_losses_of_nothing_are_reported_too(
    predicted: list[float], measured: list[float], tmp_path: Path
) -> None:
    write_report(tmp_path / "report", RECORD, losses_of(predicted, measured))
    page = (tmp_path / "report" / "report.md").read_text()
    assert (TOO_FEW in page) == (len(predicted) < 3)
    assert imread(tmp_path / "report" / "losses.png").std() > 0


def test_a_report_that_exists_is_kept_unless_overwritten(losses: LayerLosses, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already; choose another name or give --overwrite"):
        write_report(tmp_path / "report", RECORD, losses)
    assert [file.name for file in (tmp_path / "report").iterdir()] == ["notes.txt"]
    write_report(tmp_path / "report", RECORD, losses, overwrite=True)
    assert not (tmp_path / "report" / "notes.txt").exists()


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("step", ["draw_predicted_against_measured", "write_json", "_page"])
def test_a_report_that_stops_half_way_leaves_the_old_one_or_none(
    step: str, existing: bool, losses: LayerLosses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existing:
        write_report(tmp_path / "report", replace(RECORD, base_model="old"), losses)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path / "report", RECORD, losses, overwrite=True)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("library", "extra"), [("matplotlib", "report"), ("scipy.stats", "train")])
def test_a_missing_library_is_named_with_its_extra(
    library: str, extra: str, losses: LayerLosses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf'pip install "fwsvd-export\[{extra}\]"'):
        write_report(tmp_path / "report", RECORD, losses)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("same_unit", [True, False])
def test_every_layer_is_a_point_coloured_by_its_place(
    same_unit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    losses = losses_of([*PREDICTED, 0.5, 0.6, 0.0], [*MEASURED, 0.0, 0.7, 0.1]).layers
    draw_predicted_against_measured(losses, tmp_path / "losses.png", same_unit=same_unit)
    axis = pyplot.gcf().axes[0]
    points = {group.get_label(): group.get_offsets().tolist() for group in axis.collections}
    assert points["attention.self.query"] == [[0.01, 0.02], [0.5, 1e-9]]
    assert points["attention.output.dense"] == [[0.4, 0.2], [0.6, 0.7]]
    assert points["intermediate.dense"] == [[0.2, 0.1], [1e-9, 0.1]]
    assert points["output.dense"] == [[0.03, 0.03]]
    assert sum(len(group) for group in points.values()) == 7
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    lines = [line.get_xdata().tolist() if hasattr(line.get_xdata(), "tolist") else list(line.get_xdata())
             for line in axis.get_lines()]  # fmt: skip
    assert lines == ([[1e-9, 0.6]] if same_unit else [])
    assert ("own measure" in axis.get_xlabel()) is not same_unit
    monkeypatch.undo()
    pyplot.close("all")
