"""compress --dry-run: what sizes are predicted to cost, without writing any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]


def test_it_predicts_what_the_compression_then_reports_and_writes_nothing(
    tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run, succeed: Callable[..., str]
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--task", "sst2", "--data", data_file, "--ratio", 0.3]
    report = json.loads(succeed(*words, "--dry-run", "--json"))
    assert not (tmp_path / "out").exists()
    (asked,) = [size for size in report["sizes"] if size["asked"]]
    done = json.loads(succeed(*words, "--json"))
    assert asked["parameters"] == done["parameters"]["total_compressed"]
    assert asked["predicted_loss"] == pytest.approx(sum(layer["predicted_loss"] for layer in done["layers"]))
    result = run(*words[:2], tmp_path / "other", *words[3:], "--dry-run")
    assert result.exit_code == 0, result.output
    assert "nothing is written" in result.stdout
    assert "(asked for)" in result.stdout
    assert f"Guessing costs {report['guessing']:.3g} (what predictions at temperature 4 differ by" in result.stderr
    assert "The curve bends at about" in result.stderr
    assert f"{asked['predicted_loss']:.3g}" in result.stdout


def test_what_the_compression_would_refuse_is_refused(
    tiny_folder: Path, data_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--dry-run", "--task", "sst2", "--data", data_file]
    assert "--ratio" in refused(*words, code=2)
    assert "at least" in refused(*words, "--ratio", 0.0001)
    assert "als solves one rank at a time" in refused(*words, "--ratio", 0.3, "--method", "als")


@pytest.mark.parametrize(
    "option", [["--max-drop", 0.01], ["--report", "DIR", "--ratio", 0.3], ["--refine", "model", "--ratio", 0.3]]
)
def test_what_needs_the_model_is_refused(
    option: list[object], tiny_folder: Path, data_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--dry-run", "--task", "sst2", "--data", data_file]
    said = refused(*words, *option, code=2)
    assert f"{option[0]} needs the compressed model, which --dry-run does not make; leave one out" in said
