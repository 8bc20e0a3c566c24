"""compress --refine: on which text, what is said of it, and what is refused before the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.training import refine as module

Run = Callable[..., Result]
WORDS = ("good", "bad", "dull", "great", "poor")


@pytest.fixture(autouse=True)
def large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models of random weights need larger steps than real ones."""
    monkeypatch.setattr(module, "RATES", (1e-3,))


@pytest.fixture
def data(data_file: Path) -> list[object]:
    return ["--task", "sst2", "--data", data_file, "--batch-size", 8]


def record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "compression.json").read_text())
    return record


@pytest.mark.parametrize("scope", ["layers", "model"])
def test_a_refined_model_is_one_of_ours_and_tells_what_was_done(
    scope: str, data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    said = succeed("compress", tiny_folder, out, *data, "--max-samples", 24, "--rank", 2, "--refine", scope)
    record = record_in(out)
    done = record["refinement"]
    assert (done["scope"], done["held_out"]) == (scope, 4), "a tenth"
    assert done["examples"] > 24, "all rows, not those of calibration alone"
    assert done["best"] < done["start"]
    assert record["fisher"]["examples"] == 24
    assert record["seconds"]["refinement"] > 0
    assert [entry["action"] for entry in record["history"]] == ["compress"]
    assert record["history"][0]["sha256"] == file_sha256(out / "model.safetensors")
    assert f"{done['start']:.4f} to {done['best']:.4f} on 4 texts held out" in " ".join(said.split())
    card = (out / "README.md").read_text()
    assert f"divergence from the base {done['start']:.4f} to {done['best']:.4f}" in card
    assert "Head, labels and tokenizer are its base's" not in card
    succeed("evaluate", out, *data, "--against", tiny_folder)
    succeed("onnx", out)
    succeed("push", out, "somebody/model", "--dry-run")
    page = tmp_path / "page.html"
    succeed("report", out, "-o", page)
    assert f"refined on {done['examples']} texts" in page.read_text()


def test_without_it_nothing_is_refined(
    data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    succeed("compress", tiny_folder, tmp_path / "plain", *data, "--rank", 2)
    succeed("compress", tiny_folder, tmp_path / "none", *data, "--rank", 2, "--refine", "none")
    assert "refinement" not in record_in(tmp_path / "plain")
    assert "refine" not in (tmp_path / "plain" / "README.md").read_text()
    digests = {file_sha256(tmp_path / name / "model.safetensors") for name in ("plain", "none")}
    assert len(digests) == 1


def test_text_comes_from_a_file_of_its_own_or_from_the_statistics(
    data: list[object],
    data_file: Path,
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    succeed: Callable[..., str],
) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text("".join(f'{{"sentence": "the {one} film is {two}"}}\n' for one, two in product(WORDS, WORDS)))
    size = ("--rank", 2, "--refine", "model")
    succeed("compress", tiny_folder, tmp_path / "file", *data, *size, "--refine-data", text)
    done = record_in(tmp_path / "file")["refinement"]
    assert (done["data"], done["examples"] + done["held_out"]) == ("text.jsonl", 25), "it has no labels"
    succeed("compress", tiny_folder, tmp_path / "statistics", "--fisher", statistics_file, *size)
    done = record_in(tmp_path / "statistics")["refinement"]
    assert (done["data"], done["examples"] + done["held_out"]) == (None, 48)
    said = succeed("compress", tiny_folder, tmp_path / "svd", *data, *size, "--method", "svd")
    assert record_in(tmp_path / "svd")["refinement"]["data"] == data_file.name
    assert "not used" not in said, "a method that needs no data is refined on it"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--rank", 2, "--refine", "modle"), 2, "model"),
        (("--rank", 2, "--refine", "model", "--refine-minutes", 0), 1, "refine minutes 0: a number above 0 is allowed"),
        (("--rank", 2, "--refine-minutes", 5), 2, "--refine-minutes is for refinement, which --refine none leaves out"),
        (("--rank", 2, "--refine-data", "x.jsonl"), 2, "--refine-data is for refinement"),
        (("--rank", 2, "--refine", "model", "--refine-data", "x.jsonl"), 1, "x.jsonl"),
        (("--rank", 2, "--refine", "model", "--batch-size", 64), 1, "there is 1 batch: give at least two"),
        (("--max-drop", 0.5, "--refine", "model"), 2, "compare the result with evaluate --against MODEL"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    options: tuple[object, ...], code: int, said: str, data: list[object], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "out", *data, *options)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_text_is_asked_for(tiny_folder: Path, tmp_path: Path, run: Run) -> None:
    result = run("compress", tiny_folder, tmp_path / "out", "--method", "svd", "--rank", 2, "--refine", "model")
    assert result.exit_code == 1
    assert "refinement needs text of the task, without labels: give --refine-data FILE, or --data" in result.stderr


def test_a_missing_library_is_named_before_the_work(
    data: list[object], tiny_folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    result = run("compress", tiny_folder, tmp_path / "out", *data, "--rank", 2, "--refine", "model")
    assert result.exit_code == 1
    assert "fwsvd-export[train]" in result.stderr
    assert "statistics" not in result.stderr
