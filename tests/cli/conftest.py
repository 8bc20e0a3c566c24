"""The public commands, called in this process, and the files they make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from transformers import BertForTokenClassification

from fwsvd_export.cli import group
from tests.cli.sweeps import GRID, Sweep
from tests.conftest import sentences, write_jsonl
from tests.helpers import tiny_config


def invoke(*arguments: object) -> Result:
    """What the command line answers to these words."""
    return CliRunner().invoke(group, [str(argument) for argument in arguments], prog_name="fwsvd-export")


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """A command with any outcome: run("compress", model, out, ...)."""
    return invoke


@pytest.fixture
def succeed() -> Callable[..., str]:
    """A command that must succeed; its stdout."""

    def succeed(*arguments: object) -> str:
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return succeed


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """A command that must fail: refused("compress", ..., code=1); its sentence. tmp_path must stay as it was."""

    def refused(*arguments: object, code: int = 1) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = invoke("-q", *arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        *usage, sentence = result.stderr.splitlines()
        assert sentence.startswith("Error: ")
        assert code == 2 or not usage
        assert sorted(tmp_path.rglob("*")) == before
        return sentence

    return refused


@pytest.fixture(scope="session")
def statistics_file(tiny_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All statistics of the two-class model. Do not write into it."""
    file = tmp_path_factory.mktemp("statistics") / "fisher.safetensors"
    options = ["--task", "sst2", "--data", data_file, "--collect", "kfac,row,element"]
    result = invoke("fisher", tiny_folder, "-o", file, *options)
    assert result.exit_code == 0, result.output
    return file


@pytest.fixture(scope="session")
def compressed_folder(tiny_folder: Path, statistics_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two-class model, compressed by kfac to rank 6. Do not write into it."""
    folder = tmp_path_factory.mktemp("compressed") / "small"
    result = invoke("compress", tiny_folder, folder, "--fisher", statistics_file, "--rank", 6)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def changed_model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that copies the two-class model with other values in its config.json: changed_model(key=value)."""

    def change(**values: Any) -> Path:
        folder = tmp_path_factory.mktemp("changed") / "model"
        shutil.copytree(tiny_folder, folder)
        config = folder / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **values}))
        return folder

    return change


@pytest.fixture
def changed_small(compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that copies the compressed model with other values in one of its JSON files."""

    def change(file: str = "config.json", /, **values: Any) -> Path:
        folder = tmp_path_factory.mktemp("changed") / "small"
        shutil.copytree(compressed_folder, folder)
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return folder

    return change


@pytest.fixture(scope="session")
def ner_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier of the labels O, B and I. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-ner"
    shutil.copytree(tiny_folder, folder)
    torch.manual_seed(0)
    names = ["O", "B", "I"]
    config = tiny_config(
        label2id={name: place for place, name in enumerate(names)}, id2label={str(p): n for p, n in enumerate(names)}
    )
    BertForTokenClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def validation_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 rows with sst2's columns, none of them in the data file."""
    rows = [{"sentence": text, "label": place % 2} for place, text in enumerate(sentences(40, seed=7))]
    return write_jsonl(tmp_path_factory.mktemp("data") / "validation.jsonl", rows)


@pytest.fixture(scope="session")
def sweep_words(tiny_folder: Path, data_file: Path, validation_file: Path) -> list[str]:
    """The model and the data."""
    data = ["--task", "sst2", "--data", data_file, "--validation", validation_file, "--max-samples", 24]
    return [str(word) for word in [tiny_folder, *data]]


@pytest.fixture
def sweep(run: Callable[..., Result], sweep_words: list[str]) -> Sweep:
    """A function that sweeps into a folder: sweep(folder, "--methods", "svd", ...); what --json prints."""

    def sweep(folder: Path, *options: object) -> dict[str, Any]:
        result = run("-q", "sweep", *sweep_words, "-o", folder, *options, "--json")
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return sweep


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Result], sweep_words: list[str]) -> Path:
    """The folder of GRID with two seeds. Do not write into it."""
    folder = tmp_path_factory.mktemp("sweeps") / "whole"
    result = run("-q", "sweep", *sweep_words, "-o", folder, *GRID, "--seeds", 2)
    assert result.exit_code == 0, result.output
    return folder
