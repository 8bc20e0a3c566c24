"""Grids, options and folders that a sweep refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.sweeps import GRID

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--methods", "svd"], 2, "no sizes given: give --ratios or --ranks"),
        (
            ["--methods", "svd", "--ratios", "0.5", "--ranks", "3"],
            2,
            "--ratios and --ranks are given: give one of them",
        ),
        (["--methods", "svd", "--ratios", ""], 2, "numbers separated by commas are allowed, as 0.5,0.25"),
        (["--methods", "svd", "--ratios", "0.5,x"], 2, "numbers separated by commas are allowed"),
        (["--methods", "svd", "--ranks", "2.5"], 2, "whole numbers separated by commas are allowed"),
        (["--methods", "", "--ratios", "0.5"], 2, "nothing given: choose one or more of svd, fwsvd"),
        (["--methods", "svd,kfax", "--ratios", "0.5"], 2, "did you mean kfac?"),
        (["--ratios", "0.5"], 2, "Missing option '--methods'"),
        (["--methods", "svd,svd", "--ratios", "0.5"], 1, "method svd is given twice; name each one once"),
        (["--methods", "svd", "--ratios", "0.5,1.5"], 1, "ratio 1.5: a number above 0 and at most 1 is allowed"),
        (["--methods", "svd", "--ratios", "0"], 1, "ratio 0: a number above 0 and at most 1 is allowed"),
        (["--methods", "svd", "--ranks", "0"], 1, "rank 0: a whole number of at least 1 is allowed"),
        ([*GRID, "--ratios", "0.5,0.0001"], 1, "ratio 0.0001: the size asked for leaves 1 linear weight"),
        ([*GRID, "--seeds", "0"], 1, "seeds 0: a whole number of at least 1 is allowed"),
        ([*GRID, "--shard", "3/2"], 2, "'3/2' is not a shard: I/N with 1 <= I <= N is allowed"),
        ([*GRID, "--shard", "7/9"], 1, "shard 7/9 has nothing to do, the grid has 6 cells; make fewer shards"),
        ([*GRID, "--finetune-epochs", "0"], 1, "epochs 0: a number above 0 is allowed"),
        (
            [*GRID, "--training", "none", "--finetune-epochs", "1"],
            2,
            "--finetune-epochs is for models that are trained",
        ),
        ([*GRID, "--finetune-lr", "1e-3"], 2, "--finetune-lr is for models that are trained, and none is"),
        ([*GRID, "--training", "finetuned", "--train-samples", "0"], 1, "train samples 0: a whole number of at least"),
        ([*GRID, "--train-samples", "5"], 2, "--train-samples is for models that are trained"),
        ([*GRID, "--training", "finetuned", "--teacher", "x"], 2, "--teacher is for models that are distilled"),
        ([*GRID, "--training", "pruned"], 2, "'pruned': one of none, finetuned, distilled is allowed"),
        ([*GRID, "--solver-option", "fwsvd=3"], 2, "METHOD:NAME=VALUE is allowed, for example fwsvd:axis=output"),
        ([*GRID, "--solver-option", "em:start=row"], 1, "an option of em is given, which is not among the methods svd"),
        ([*GRID, "--solver-option", "fwsvd:axes=output"], 1, "solver option axes: method fwsvd knows axis"),
        ([*GRID, "--reconstruct"], 1, "reconstruction fits layers in the norm of their gradients, which method svd"),
        ([*GRID, "--allocate", "greedy"], 1, "allocate greedy needs losses that compare across layers"),
        ([*GRID, "--confidence", "2"], 1, "confidence 2"),
        ([*GRID, "--task", "text"], 1, "task text has no labels and no metric; choose one that has"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    options: list[str], code: int, said: str, sweep_words: list[str], tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert said in refused("sweep", *sweep_words, "-o", tmp_path / "sweep", *options, code=code)


def test_no_data_is_wrong_usage(tiny_folder: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "no data given" in refused("sweep", tiny_folder, "-o", tmp_path / "sweep", *GRID, code=2)


def test_a_folder_of_another_model_or_other_data_is_refused_and_stays_as_it_is(
    whole: Path, sweep_words: list[str], changed_model: Callable[..., Path], data_file: Path, run: Run
) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in whole.rglob("*"))
    other = changed_model(hidden_act="relu")
    for change, said in [
        ([str(other), *sweep_words[1:]], f"{whole} holds the sweep of another model: tiny-classifier"),
        ([*sweep_words, "--max-length", "8"], "holds the sweep of another task, columns or lengths: sst2"),
        ([*sweep_words[:4], sweep_words[6], *sweep_words[5:]], "holds the sweep of another data: train.jsonl"),
        (
            [*sweep_words[:6], str(data_file), *sweep_words[7:]],
            "holds the sweep of another validation data: validation.jsonl",
        ),
    ]:
        result = run("-q", "sweep", *change, "-o", whole, *GRID)
        assert result.exit_code == 1
        assert said in result.stderr
        assert "give another folder with -o, or repeat what that sweep was given" in result.stderr
    assert sorted((path, path.stat().st_mtime_ns) for path in whole.rglob("*")) == before


def test_a_folder_with_other_files_and_the_folder_of_the_model_are_refused(
    sweep_words: list[str], tiny_folder: Path, data_file: Path, run: Run
) -> None:
    for folder in (tiny_folder, data_file.parent):
        result = run("-q", "sweep", *sweep_words, "-o", folder, *GRID)
        assert result.exit_code == 1
        assert "exists already" in result.stderr
