"""What compress writes: the record of what was asked, next to what a failed run leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

import fwsvd_export
from fwsvd_export.checkpoints.carried import Carried
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import OutputError
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.source import Source
from fwsvd_export.workflows.write import write_compressed

# 20 * (32 + 32) > 32 * 32 but 20 * (64 + 32) < 64 * 32: the square layers stay dense, the others are factorised
RANK = 20


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that compress wrote, with Fisher statistics of the data file."""
    out = tmp_path_factory.mktemp("compressed") / "small"
    data = DataRequest(task_named("sst2"), file=data_file)
    size = RankRequest(Budget(rank=RANK))
    run_compress(CompressRequest(Source(str(tiny_folder), device="cpu"), out, "kfac", size, data))
    return out


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "compression.json").read_text(encoding="utf-8"))
    return found


def test_the_record_says_what_was_asked_and_from_what_it_was_made(
    record: dict[str, Any], tiny_folder: Path, data_file: Path
) -> None:
    expected = {"format": 1, "base_model": tiny_folder.name, "method": "kfac", "allocate": "uniform"}
    assert {name: record[name] for name in expected} == expected
    asked = {"ratio": None, "rank": RANK, "params": None, "fisher_axis": "input", "solver_options": {}}
    asked |= {"embeddings": None, "cost": "params", "widths": "keep"}
    limits = {"multiple": 1, "smallest": 1, "largest": None, "keep_dense": []}
    assert record["asked"] == {**asked, "limits": limits}
    assert record["base_sha256"] == file_sha256(tiny_folder / "model.safetensors")
    assert record["fisher"] == {
        "task": "sst2",
        "data": data_file.name,
        "examples": 48,
        "labels": "data",
        "max_length": 128,
        "temperature": 4.0,
        "sha256": None,
    }


def test_an_existing_folder_is_kept_unless_overwritten(
    folder: Path, make_head: Callable[..., Any], tmp_path: Path
) -> None:
    record = read_compression(folder)
    model = fwsvd_export.compress(make_head("BertForMaskedLM"), method="svd", rank=5)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_compressed(model, tmp_path, record, Carried())
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    write_compressed(model, tmp_path, record, Carried((folder / "tokenizer.json",)), overwrite=True)
    assert {file.name for file in tmp_path.iterdir()} == {
        "README.md",
        "compression.json",
        "config.json",
        "configuration_lowrank_bert.py",
        "lowrank_layers.py",
        "model.safetensors",
        "modeling_lowrank_bert.py",
        "tokenizer.json",
        "tokenizer_config.json",  # which says the class
    }
    assert ModelCard.load(tmp_path / "README.md").data.pipeline_tag == "fill-mask"
