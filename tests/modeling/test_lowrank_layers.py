"""The record of a compression travels with a model, through loading, training and saving."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.checkpoints.folder import read_compression
from tests.helpers import heads_ending, tiny_head

CLASSIFIERS = heads_ending("ForSequenceClassification")


def change(model: Any) -> None:
    with torch.no_grad():
        getattr(model.classifier, "out_proj", model.classifier).bias.add_(1.0)


def actions(folder: Path) -> list[str]:
    return [entry.action for entry in read_compression(folder).history]


@pytest.mark.parametrize("class_name", CLASSIFIERS)
def test_a_model_from_memory_is_saved_with_its_record(class_name: str, tmp_path: Path) -> None:
    small = compress(tiny_head(class_name), method="svd", rank=5)
    small.save_pretrained(tmp_path)
    record = read_compression(tmp_path)
    assert (record.method, record.base_model, record.asked.rank) == ("svd", class_name, 5)
    assert {layer.name: layer.rank for layer in record.layers} == small.compression.plan.ranks
    assert record.parameters.total_compressed == sum(parameter.numel() for parameter in small.parameters())
    assert actions(tmp_path) == ["compress"]
    assert record.describes(tmp_path)
    assert record.history[0].sha256 == record.files["model.safetensors"].sha256


@pytest.mark.parametrize("class_name", CLASSIFIERS)
def test_what_was_trained_in_memory_before_it_was_saved_is_known(class_name: str, tmp_path: Path) -> None:
    small = compress(tiny_head(class_name), method="svd", rank=5)
    change(small)
    small.save_pretrained(tmp_path)
    assert actions(tmp_path) == ["compress", "save"]
    first, last = read_compression(tmp_path).history
    assert (first.sha256, last.sha256) == (None, read_compression(tmp_path).files["model.safetensors"].sha256)


def test_a_loaded_model_is_saved_with_the_same_record_until_it_changes(tmp_path: Path) -> None:
    small = compress(tiny_head("BertForSequenceClassification"), method="svd", rank=5)
    small.save_pretrained(tmp_path / "first")
    loaded = type(small).from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "again")
    texts = [(tmp_path / name / "compression.json").read_bytes() for name in ("first", "again")]
    assert texts[0] == texts[1]
    change(loaded)
    loaded.save_pretrained(tmp_path / "changed")
    assert actions(tmp_path / "changed") == ["compress", "save"]
    assert read_compression(tmp_path / "changed").describes(tmp_path / "changed")


@pytest.mark.parametrize(
    "content", [None, "", "{", "[1]", "null", '{"files": [1]}', '{"history": {}, "files": {"a": 1}}']
)
def test_a_folder_without_a_readable_record_is_loaded_and_saved_without_one(
    content: str | None, tmp_path: Path
) -> None:
    small = compress(tiny_head("BertForSequenceClassification"), method="svd", rank=5)
    small.save_pretrained(tmp_path / "first")
    (tmp_path / "first" / "compression.json").unlink()
    if content is not None:
        (tmp_path / "first" / "compression.json").write_text(content)
    damaged = pytest.warns(UserWarning, match=r"compression\.json of .* cannot be read, so a copy of the model will")
    with nullcontext() if content is None else damaged:
        loaded = type(small).from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again" / "compression.json").exists()


def test_a_record_of_before_histories_gets_one(tmp_path: Path) -> None:
    small = compress(tiny_head("BertForSequenceClassification"), method="svd", rank=5)
    small.save_pretrained(tmp_path / "first")
    path = tmp_path / "first" / "compression.json"
    old = json.loads(path.read_text())
    del old["history"]
    path.write_text(json.dumps(old))
    loaded = type(small).from_pretrained(tmp_path / "first")
    change(loaded)
    loaded.save_pretrained(tmp_path / "changed")
    assert actions(tmp_path / "changed") == ["compress", "save"]
    assert read_compression(tmp_path / "changed").history[0].sha256 == old["files"]["model.safetensors"]["sha256"]
