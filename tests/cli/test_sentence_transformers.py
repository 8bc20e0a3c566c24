"""Folders of sentence-transformers: what is not carried over is said, recorded and on the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.helpers import tiny_head

Run = Callable[..., Result]
Refused = Callable[..., str]

SVD = ("--method", "svd", "--rank", 4)
TYPES = "sentence_transformers.models"


def module(number: int, name: str, place: str | None = None) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": place or f"{number}_{name}", "type": f"{TYPES}.{name}"}


TRANSFORMER = {**module(0, "Transformer"), "path": ""}
MODULES = [TRANSFORMER, module(1, "Pooling"), module(2, "Dense"), module(3, "Normalize")]
TOLD = (
    "only the transformer of this sentence-transformers model is carried over; what modules.json lists behind it is "
    "for you to apply to the outputs: Pooling (mean_tokens), Dense (with weights), Normalize"
)


@pytest.fixture(params=["BertModel", "DistilBertModel"])
def embedder(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder as sentence-transformers saves it."""
    folder = tmp_path / "embedder"
    tiny_head(request.param).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_folder / name, folder / name)
    (folder / "modules.json").write_text(json.dumps(MODULES))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    for name, settings in (("1_Pooling", pooling), ("2_Dense", {"in_features": 32}), ("3_Normalize", None)):
        (folder / name).mkdir()
        if settings is not None:
            (folder / name / "config.json").write_text(json.dumps(settings))
    (folder / "2_Dense" / "model.safetensors").touch()
    return folder


def test_every_command_that_writes_a_model_says_what_it_leaves_behind(embedder: Path, tmp_path: Path, run: Run) -> None:
    small = tmp_path / "small"
    result = run("compress", embedder, small, *SVD)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(f"embedder: {TOLD}.\n") == 1
    assert json.loads((small / "compression.json").read_text())["left_out"] == [TOLD]
    assert TOLD.partition(" (")[0] in (small / "README.md").read_text().replace("\\", "")
    assert f"embedder: {TOLD}.\n" in run("onnx", embedder, "-o", tmp_path / "exported").stderr
    (small / "modules.json").write_text(json.dumps(MODULES[:2]))
    told = run("densify", small, tmp_path / "plain").stderr
    assert "small: only the transformer of this sentence-transformers model" in told
    assert told.endswith("apply to the outputs: Pooling.\n")
    assert len(json.loads((tmp_path / "plain" / "compression.json").read_text())["left_out"]) == 2


def test_commands_that_write_no_model_do_not(embedder: Path, run: Run) -> None:
    assert run("inspect", embedder).stderr == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pooling_mode": "cls"}, "Pooling (cls)"),
        ({"pooling_mode": ["mean", "max"]}, "Pooling (mean, max)"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "Pooling (cls_token, max_tokens)"),
        ({}, "Pooling"),
        ({"pooling_mode": "\x1b[31m" + "x" * 5000}, "\\x1b[31mx"),
    ],
)
def test_how_it_pools(settings: dict[str, Any], said: str, embedder: Path, tmp_path: Path, run: Run) -> None:
    (embedder / "modules.json").write_text(json.dumps(MODULES[:2]))
    (embedder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    result = run("compress", embedder, tmp_path / "small", *SVD)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stderr.splitlines() if "sentence-transformers" in line)
    assert f"outputs: {said}" in line or f"outputs: Pooling ({said}" in line
    assert line.isprintable()
    assert len(line) < 500


def test_a_transformer_alone_leaves_nothing_behind(embedder: Path, tmp_path: Path, run: Run) -> None:
    (embedder / "modules.json").write_text(json.dumps([TRANSFORMER]))
    assert "sentence-transformers" not in run("compress", embedder, tmp_path / "small", *SVD).stderr
    assert json.loads((tmp_path / "small" / "compression.json").read_text())["left_out"] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "modules.json does not hold a JSON list; write it again"),
        ("[1]", "modules.json lists 1, and a module has a type and a path; correct it, or take the file out"),
        ('[{"type": "a.B"}]', "modules.json lists {'type': 'a.B'}, and a module has a type and a path"),
        ("[", "modules.json is not readable JSON"),
    ],
)
def test_modules_that_cannot_be_read(content: str, said: str, embedder: Path, tmp_path: Path, refused: Refused) -> None:
    (embedder / "modules.json").write_text(content)
    assert said in refused("compress", embedder, tmp_path / "small", *SVD)


def test_a_module_elsewhere_is_named_and_not_looked_at(embedder: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "config.json").write_text("no JSON")
    (embedder / "modules.json").write_text(json.dumps([TRANSFORMER, module(1, "Pooling", "..")]))
    result = run("compress", embedder, tmp_path / "small", *SVD)
    assert result.exit_code == 0, result.output
    assert "apply to the outputs: Pooling.\n" in result.stderr
