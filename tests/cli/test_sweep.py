"""Sweeps: continued after a kill, extended, shared out, and the same as the single commands."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.report.page.write import is_page
from fwsvd_export.sweep.store import read_result
from fwsvd_export.workflows import sweep as workflow
from fwsvd_export.workflows import sweep_statistics
from tests.cli.sweeps import GRID, Sweep, forbid_making, table, times

Run = Callable[..., Result]
ITERATIVE = ["--methods", "em", "--solver-option", "em:max_iterations=20", "--ranks", "5"]


def test_a_sweep_has_a_row_per_cell_in_the_order_of_the_grid_a_picture_and_a_page(
    whole: Path, tiny_folder: Path, validation_file: Path
) -> None:
    result = read_result(whole)
    asked = [(method, ratio, seed) for method in ("svd", "fwsvd", "kfac") for ratio in (0.5, 0.3) for seed in (0, 1)]
    assert [(row.method, row.ratio, row.seed) for row in result.rows] == asked
    assert (result.planned, result.metric, result.validation) == (12, "accuracy", validation_file.name)
    assert result.model == str(tiny_folder)
    for row in result.rows:
        assert row.examples == 40
        assert row.ratio is not None
        assert 0 < row.linear_ratio <= row.ratio
        assert row.parameters < result.dense.parameters
        assert row.difference is not None
        assert row.difference.value == pytest.approx(row.value - result.dense.value)
        assert row.difference.low <= row.difference.value <= row.difference.high
        assert set(row.ranks) == set(result.rows[0].ranks)
        assert (row.training, row.finetuned) == ("none", False)
    assert {"load", "statistics", "decompose", "compress", "evaluate"} <= set(result.seconds)
    assert result.command is not None
    assert result.command[:2] == ("fwsvd-export", "-q")
    assert (whole / "sweep.png").is_file()
    page = (whole / "report.md").read_text()
    assert "12 of 12 cells are done" in page
    assert is_page(whole / "report.html")
    assert sorted(path.name for path in whole.iterdir()) == [
        "cells", "report.html", "report.md", "results.json", "statistics", "sweep.json", "sweep.png",
    ]  # fmt: skip


def test_methods_that_need_no_data_are_made_once_for_all_seeds(whole: Path) -> None:
    rows = read_result(whole).rows
    keys = {method: [row.key for row in rows if row.method == method] for method in ("svd", "fwsvd", "kfac")}
    assert {method: len(set(found)) for method, found in keys.items()} == {"svd": 2, "fwsvd": 4, "kfac": 4}
    assert len(list((whole / "cells").iterdir())) == 10
    assert len(list((whole / "statistics").iterdir())) == 2, "a choice of rows per seed"


@pytest.mark.parametrize("method", ["svd", "fwsvd", "kfac"])
def test_a_cell_is_what_compress_and_evaluate_make_with_the_same_words(
    method: str, whole: Path, sweep_words: list[str], validation_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    without = [*sweep_words[:5], *sweep_words[7:]]
    succeed(
        "-q", "compress", without[0], tmp_path / "small", *without[1:], "--method", method, "--ratio", 0.3, "--seed", 1
    )
    data = ["--task", "sst2", "--data", validation_file]
    measured = json.loads(succeed("-q", "evaluate", tmp_path / "small", *data, "--json"))
    (row,) = [row for row in read_result(whole).rows if (row.method, row.ratio, row.seed) == (method, 0.3, 1)]
    record = read_compression(tmp_path / "small")
    assert row.value == measured["value"]
    assert row.ranks == {layer.name: layer.rank for layer in record.layers}
    assert row.parameters == record.parameters.total_compressed
    assert row.predicted_loss == pytest.approx(sum(layer.predicted_loss for layer in record.layers), rel=1e-5)


def test_an_extended_sweep_makes_what_is_missing_and_collects_what_is_missing_once(
    whole: Path, tmp_path: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[tuple[str, ...]] = []
    collect = sweep_statistics.statistics_of

    def counted(*arguments: Any, **options: Any) -> Any:
        collected.append(arguments[3])
        return collect(*arguments, **options)

    monkeypatch.setattr(sweep_statistics, "statistics_of", counted)
    folder = tmp_path / "sweep"
    sweep(folder, "--methods", "svd,kfac", "--ratios", 0.5)
    assert collected == [("kfac",)]
    before = times(folder)
    assert table(sweep(folder, *GRID, "--seeds", 2)) == table(whole)
    assert collected == [("kfac",), ("row",), ("row", "kfac")]
    assert {name: when for name, when in times(folder).items() if name in before} == before
    forbid_making(monkeypatch)
    narrow = sweep(folder, "--methods", "fwsvd", "--ratios", 0.3)
    assert [row["method"] for row in narrow["rows"]] == ["fwsvd"]
    assert table(sweep(folder, *GRID, "--seeds", 2)) == table(whole), "cells of a narrower grid are still there"


def test_cells_that_are_gone_are_made_again_and_no_others(whole: Path, tmp_path: Path, sweep: Sweep) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(whole, folder)
    gone = sorted((folder / "cells").iterdir())[::3]
    for file in gone:
        file.unlink()
    before = times(folder)
    assert table(sweep(folder, *GRID, "--seeds", 2)) == table(whole)
    after = times(folder)
    assert {name for name in after if before.get(name) != after[name]} == {f"cells/{file.name}" for file in gone}


def test_of_two_shards_in_one_folder_one_is_killed_and_the_next_run_ends_with_the_same_table(
    whole: Path, sweep_words: list[str], tmp_path: Path, sweep: Sweep
) -> None:
    folder = tmp_path / "sweep"
    command = [
        sys.executable,
        "-m",
        "fwsvd_export",
        "-q",
        "sweep",
        *sweep_words,
        "-o",
        str(folder),
        *GRID,
        "--seeds",
        "2",
    ]
    one, two = (subprocess.Popen([*command, "--shard", f"{part}/2"], stdout=subprocess.DEVNULL) for part in (1, 2))
    while not list(folder.glob("cells/*.json")):
        assert (one.poll(), two.poll()) == (None, None)
        time.sleep(0.01)
    two.send_signal(signal.SIGKILL)
    two.wait()
    assert one.wait() == 0
    before = times(folder)
    assert 8 <= len(read_result(folder).rows) < 12, "those of the first shard, and what the second one had done"
    assert table(sweep(folder, *GRID, "--seeds", 2)) == table(whole)
    assert {name: when for name, when in times(folder).items() if name in before} == before
    assert len(list(folder.glob("statistics/*/*.safetensors"))) == 4, "each collection of each seed once"
    assert not (folder / "work").exists()


@pytest.mark.parametrize("done", [0, 2])
def test_an_interrupted_run_has_its_result_its_picture_and_its_pages(
    done: int, tmp_path: Path, run: Run, sweep_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = tmp_path / "sweep", workflow._Sweep._save

    def stop_later(self: Any, *arguments: Any) -> None:
        if len(list(folder.glob("cells/*.json"))) == done:
            raise KeyboardInterrupt
        save(self, *arguments)

    monkeypatch.setattr(workflow._Sweep, "_save", stop_later)
    result = run("sweep", *sweep_words, "-o", folder, *GRID)
    assert result.exit_code == 130
    assert f"Models that are done stay in {folder}: the same command makes the others." in result.stderr
    assert (len(read_result(folder).rows), read_result(folder).planned) == (done, 6)
    assert f"{done} of 6 cells are done" in (folder / "report.md").read_text()
    assert (folder / "sweep.png").is_file() is (done > 0)
    assert f"{done} of 6" in (folder / "report.html").read_text(encoding="utf-8")


def test_shards_of_two_folders_give_the_whole_when_their_cells_are_put_together(
    whole: Path, tmp_path: Path, run: Run, sweep_words: list[str], sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    half = sweep(one, *GRID, "--seeds", 2, "--shard", "1/2")
    assert (len(half["rows"]), half["planned"]) == (8, 12), "two models without statistics stand for both seeds"
    result = run("sweep", *sweep_words, "-o", two, *GRID, "--seeds", 2, "--shard", "2/2")
    assert result.exit_code == 0
    assert "4 of 12 models are still to be made, by other shards." in result.stderr
    shutil.copytree(two / "cells", one / "cells", dirs_exist_ok=True)
    forbid_making(monkeypatch)
    assert table(sweep(one, *GRID, "--seeds", 2)) == table(whole)


def test_a_recipe_equals_the_options(
    whole: Path, sweep_words: list[str], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _, task, _, data, _, validation, _, samples = sweep_words
    values = {
        "model": model, "task": task, "data": data, "validation": validation, "max-samples": int(samples),
        "methods": ["svd", "fwsvd", "kfac"], "ratios": [0.5, 0.3], "seeds": 2, "json": True,
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    folder = tmp_path / "sweep"
    shutil.copytree(whole, folder)
    forbid_making(monkeypatch)
    result = run("-q", "sweep", "--recipe", file, "-o", folder)
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert table(made) == table(whole)
    assert made["recipe"]["file"] == "study.yaml"
    assert "--ratios=0.5,0.3" in made["recipe"]["command"]
    assert f"--data={Path(data).name}" in (folder / "report.md").read_text()
    narrow = run("-q", "sweep", "--recipe", file, "-o", folder, "--ranks", "0")
    assert narrow.exit_code == 1
    assert "rank 0: a whole number of at least 1 is allowed" in narrow.stderr


def test_rows_that_are_held_out_are_the_same_for_every_seed_and_in_no_calibration(
    tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[tuple[int, ...]]] = []
    collect = sweep_statistics.statistics_of

    def noted(*arguments: Any, **options: Any) -> Any:
        seen.append(arguments[2].token_ids)
        return collect(*arguments, **options)

    monkeypatch.setattr(sweep_statistics, "statistics_of", noted)
    held_out: list[set[tuple[int, ...]]] = []
    score = workflow.scored

    def scored(model: Any, batches: Any, *arguments: Any) -> Any:
        held_out.append(batches.token_ids)
        return score(model, batches, *arguments)

    monkeypatch.setattr(workflow, "scored", scored)
    data = ["--task", "sst2", "--data", data_file]
    grid = ["--methods", "fwsvd", "--ratios", 0.5, "--max-samples", 20]
    result = run("-q", "sweep", tiny_folder, "-o", tmp_path / "sweep", *data, *grid, "--seeds", 3, "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert {row["examples"] for row in made["rows"]} == {9}
    assert made["validation"] == f"{data_file.name} (rows held out)"
    assert len(seen) == 3
    assert seen[0] != seen[1]
    assert all(rows == held_out[0] for rows in held_out)
    assert not held_out[0] & set.union(*seen)


def test_iterative_methods_ranks_and_their_options(tmp_path: Path, sweep: Sweep) -> None:
    made = sweep(tmp_path / "sweep", *ITERATIVE)
    (row,) = made["rows"]
    assert (row["method"], row["ratio"], row["rank"], set(row["ranks"].values())) == ("em", None, 5, {5})
    again = sweep(tmp_path / "sweep", *ITERATIVE[:3], "em:max_iterations=3", *ITERATIVE[4:])
    assert again["rows"][0]["key"] != row["key"]


def test_without_a_terminal_every_model_gets_a_line(tmp_path: Path, run: Run, sweep_words: list[str]) -> None:
    result = run("sweep", *sweep_words, "-o", tmp_path / "sweep", "--methods", "svd", "--ratios", "0.5,0.3")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("dense: 0.")
    assert lines[0].endswith("; 0 of 2 models are there.")
    assert lines[1].startswith("svd, ratio 0.5, seed 0: 0.")
    assert lines[2].endswith("2 of 2")
    assert "│ svd" in result.stdout
