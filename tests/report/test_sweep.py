"""The table and the page of a sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fwsvd_export.checkpoints.record import RecordedRecipe
from fwsvd_export.report.sweep import sweep_table, write_sweep
from tests.sweep.test_result import RESULT, ROW

ROWS = (
    ROW,
    replace(ROW, seed=1, value=0.865),
    replace(ROW, method="svd", ratio=None, rank=8, difference=None),
    replace(ROW, training="distilled", finetuned=True, value=0.88),
)


def test_a_line_per_method_and_training_and_a_column_per_size_with_the_spread_over_the_seeds() -> None:
    titles, rows = sweep_table(replace(RESULT, rows=ROWS))
    assert titles == ["method", "ratio 0.25", "rank 8"]
    assert rows == [
        ["kfac", "0.8700 (0.8650 to 0.8750)", ""],
        ["svd", "", "0.8750"],
        ["kfac, distilled", "0.8800", ""],
    ]


def test_the_page_has_every_model_its_interval_and_the_command(tmp_path: Path) -> None:
    write_sweep(tmp_path, replace(RESULT, model="/home/me/dense", rows=ROWS))
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# dense: accuracy against size\n")
    assert "4 of 4 cells are done." in page
    assert (
        "| kfac | distilled | ratio 0.25 | 0 | 25.0 % | 14,000,000 | 0.8800 | -0.0090 [-0.0200, +0.0020] | 1.5 |"
        in page
    )
    assert "same 872 examples, with its 95 % interval" in page
    assert "```sh\nfwsvd-export sweep\n```" in page
    assert (tmp_path / "sweep.png").is_file()


def test_the_command_of_a_recipe_is_the_one_without_the_file(tmp_path: Path) -> None:
    recipe = RecordedRecipe("all.yaml", "0" * 64, ("fwsvd-export", "sweep", "--ratios=0.5"))
    write_sweep(tmp_path, replace(RESULT, recipe=recipe))
    assert "```sh\nfwsvd-export sweep --ratios=0.5\n```" in (tmp_path / "report.md").read_text()


def test_a_sweep_with_nothing_done_has_a_page_and_no_picture(tmp_path: Path) -> None:
    write_sweep(tmp_path, replace(RESULT, rows=(), command=None))
    assert "0 of 4 cells are done." in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "sweep.png").exists()
