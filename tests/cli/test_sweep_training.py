"""Trained models of a sweep: what they begin with, which are asked for, and how an interrupted one goes on."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.errors import SweepError
from fwsvd_export.workflows import sweep as workflow
from fwsvd_export.workflows import sweep_models
from tests.cli.sweeps import GRID, TRAINED, Sweep, table

Run = Callable[..., Result]


def test_trained_cells_begin_with_the_compressed_model_and_kept_models_are_checkpoints(
    tmp_path: Path, sweep: Sweep, sweep_words: list[str], validation_file: Path, succeed: Callable[..., str]
) -> None:
    folder = tmp_path / "sweep"
    made = sweep(folder, "--methods", "fwsvd", "--ratios", 0.5, *TRAINED, "--keep-models")
    assert [row["training"] for row in made["rows"]] == ["none", "finetuned", "distilled"]
    assert [row["finetuned"] for row in made["rows"]] == [False, True, True]
    assert len({json.dumps(row["ranks"]) for row in made["rows"]}) == 1
    assert made["seconds"]["train"] > 0
    assert not (folder / "starts").exists()
    assert not (folder / "work").exists()
    models = {read_name.split("-")[3]: folder / "models" / read_name for read_name in os.listdir(folder / "models")}
    assert set(models) == {"none", "finetuned", "distilled"}
    for row in made["rows"]:
        data = ["--task", "sst2", "--data", validation_file]
        measured = json.loads(succeed("-q", "evaluate", models[row["training"]], *data, "--json"))
        assert measured["value"] == row["value"]
        actions = [entry.action for entry in read_compression(models[row["training"]]).history]
        assert actions == (["compress"] if row["training"] == "none" else ["compress", "finetune"])
        assert (models[row["training"]] / "training.json").is_file() == row["finetuned"]
    trained = json.loads((models["distilled"] / "training.json").read_text())
    assert trained["teacher"] == Path(sweep_words[0]).name
    assert trained["model"] == f"{trained['teacher']} (fwsvd, ratio 0.5, seed 0)"
    assert (trained["settings"]["epochs"], len(trained["steps"])) == (1, 3)
    assert trained["examples"] + trained["validation_examples"] <= 48
    shutil.rmtree(models["finetuned"])
    assert table(sweep(folder, "--methods", "fwsvd", "--ratios", 0.5, *TRAINED, "--keep-models")) == table(made)
    assert models["finetuned"].is_dir(), "a model that is to be kept is made again"


def test_what_needs_no_data_is_compressed_once_for_all_seeds_and_trained_by_each(
    tmp_path: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed, calls = sweep_models.SweepModels._compressed, []

    def counted(self: Any, *arguments: Any) -> Any:
        calls.append(arguments[0])
        return compressed(self, *arguments)

    values = itertools.count()  # the last weights are always the best
    monkeypatch.setattr(sweep_models, "evaluate_model", lambda *arguments: SimpleNamespace(value=float(next(values))))
    monkeypatch.setattr(sweep_models.SweepModels, "_compressed", counted)
    words = ["--methods", "svd", "--ratios", 0.5, "--seeds", 2, "--keep-models", "--training", "finetuned"]
    made = sweep(tmp_path / "sweep", *words, "--finetune-lr", 0.01)
    assert len(calls) == 1
    assert [row["seed"] for row in made["rows"]] == [0, 1]
    kept = [folder / "model.safetensors" for folder in (tmp_path / "sweep" / "models").iterdir()]
    assert len({file.read_bytes() for file in kept}) == 2, "another order of batches makes other weights"
    assert not (tmp_path / "sweep" / "starts").exists()


def test_models_that_are_kept_in_another_type_are_written_beside(tmp_path: Path, sweep: Sweep) -> None:
    words = ["--methods", "svd", "--ratios", 0.5, "--keep-models"]
    sweep(tmp_path / "sweep", *words)
    sweep(tmp_path / "sweep", *words, "--dtype", "float16")
    names = sorted(folder.name for folder in (tmp_path / "sweep" / "models").iterdir())
    assert len(names) == 2
    assert ["float16" in name for name in names] == [False, True]


def test_training_that_is_interrupted_goes_on_and_ends_with_the_same_table(
    tmp_path: Path, sweep: Sweep, run: Run, sweep_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ["--methods", "fwsvd", "--ratios", 0.5, *TRAINED[:3], "2", *TRAINED[4:]]
    expected = sweep(tmp_path / "whole", *grid)
    folder, calls = tmp_path / "sweep", [0]
    evaluate = sweep_models.evaluate_model

    def stop(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_models, "evaluate_model", stop)
        assert run("-q", "sweep", *sweep_words, "-o", folder, *grid).exit_code == 130
    assert list(folder.glob("work/*/training/checkpoint-*"))
    assert list(folder.glob("starts/*/model/model.safetensors"))
    forbidden = pytest.MonkeyPatch()
    forbidden.setattr(sweep_models.SweepModels, "_compressed", lambda *arguments: pytest.fail("the start is there"))
    try:
        assert table(sweep(folder, *grid)) == table(expected)
    finally:
        forbidden.undo()


def test_what_is_trained_follows_from_the_options(
    tmp_path: Path, run: Run, sweep_words: list[str], monkeypatch: Any
) -> None:
    asked: list[tuple[str, ...]] = []

    def note(request: Any, watch: Any) -> None:
        asked.append(request.grid.trainings)
        raise SweepError("noted")

    monkeypatch.setattr(workflow, "run_sweep", note)
    for options in (
        [],
        ["--finetune-epochs", 1],
        ["--teacher", sweep_words[0]],
        ["--teacher", sweep_words[0], "--finetune-epochs", 1],
        ["--training", "distilled,none"],
        ["--training", "finetuned"],
    ):
        run("-q", "sweep", *sweep_words, "-o", tmp_path / "sweep", *GRID, *options)
    assert asked == [
        ("none",), ("none", "finetuned"), ("none", "distilled"), ("none", "distilled"), ("none", "distilled"),
        ("finetuned",),
    ]  # fmt: skip
