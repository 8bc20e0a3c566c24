"""compress says before the long work when a plan is predicted to leave nothing of the task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
SENSELESS = ["--ratio", 0.08]


def test_the_hint_names_losses_guessing_and_a_ratio(
    tiny_folder: Path, statistics_file: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "out", "--fisher", statistics_file, *SENSELESS, "--json")
    assert result.exit_code == 0, result.output
    predicted = sum(layer["predicted_loss"] for layer in json.loads(result.stdout)["layers"])
    said = f"The predicted losses add up to {predicted:.3g}, and guessing costs "
    (line,) = [line for line in result.stderr.splitlines() if said in line]
    enough = line.rpartition("ask for a ratio of at least ")[2].rstrip(".")
    again = run("compress", tiny_folder, tmp_path / "more", "--fisher", statistics_file, "--ratio", f"0.{enough[2:]}")
    assert "guessing" not in again.stderr


def test_it_is_said_before_layers_are_reconstructed(
    tiny_folder: Path, statistics_file: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fwsvd_export.compression.prepare.reconstruct", interrupted)
    result = run("compress", tiny_folder, tmp_path / "out", "--fisher", statistics_file, *SENSELESS)
    assert "The predicted losses add up to" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["-q"], ["--method", "svd"], ["--method", "fwsvd"]])
def test_nothing_is_said_when_asked_for_quiet_or_without_such_losses(
    words: list[str], tiny_folder: Path, statistics_file: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "out", "--fisher", statistics_file, *SENSELESS, *words)
    assert result.exit_code == 0, result.output
    assert "guessing" not in result.stderr


def test_a_regression_is_measured_on_the_texts_of_the_statistics_file(
    regression_folder: Path, write_rows: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    texts = ["a good film", "the plot was very dull", "never a bad movie", "great cast", "fine", "poor and dull"]
    data = ["--task", "regression", "--data", write_rows([{"text": t, "label": n} for n, t in enumerate(texts)])]
    file = tmp_path / "fisher.safetensors"
    assert run("fisher", regression_folder, *data, "--labels", "sampled", "-o", file).exit_code == 0
    result = run("compress", regression_folder, tmp_path / "out", "--fisher", file, *SENSELESS)
    assert result.exit_code == 0, result.output
    assert "(the variance of the predictions): " in result.stderr
