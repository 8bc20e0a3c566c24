"""The statistics file gives back what was saved; other formats and damaged files are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fwsvd_export.errors import StatisticsError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.records import LayerStatistics, Statistics, StatisticsSource


@pytest.fixture
def statistics(tiny_model: Any, make_batches: Callable[..., Any]) -> Statistics:
    source = StatisticsSource("0" * 64, "sst2", "täglich.jsonl", "sampled", 128, 7)
    batches = make_batches(6, 3)
    return collect_statistics(tiny_model, batches, collect=("kfac", "row", "element"), source=source)


def test_statistics_read_back_are_those_that_were_saved(statistics: Statistics, tmp_path: Path) -> None:
    save_statistics(statistics, tmp_path / "fisher.safetensors")
    read = load_statistics(tmp_path / "fisher.safetensors")
    for name in ("examples", "tokens", "collected", "source"):
        assert getattr(read, name) == getattr(statistics, name)
    assert list(read.layers) == list(statistics.layers)
    for name, layer in statistics.layers.items():
        for field in fields(LayerStatistics):
            assert torch.equal(getattr(read.layers[name], field.name), getattr(layer, field.name))


def test_a_sample_is_read_back_and_so_is_its_absence(statistics: Statistics, tmp_path: Path) -> None:
    types = torch.ones_like(statistics.sample.token_ids)
    with_types = replace(statistics.sample, inputs={"token_type_ids": types})
    for name, sample in {"types": with_types, "without": None}.items():
        save_statistics(replace(statistics, sample=sample), tmp_path / name)
        read = load_statistics(tmp_path / name).sample
        assert (read is None) == (sample is None)
        if sample is not None:
            assert torch.equal(read.token_ids, sample.token_ids)
            assert torch.equal(read.lengths, sample.lengths)
            assert read.attention_mask is sample.attention_mask is None
            assert torch.equal(read.inputs["token_type_ids"], types)
            assert len(read.inputs) == 1


@pytest.mark.parametrize("field", ["token_ids", "lengths"])
def test_half_a_sample_is_a_damaged_file(field: str, statistics: Statistics, tmp_path: Path) -> None:
    save_statistics(statistics, tmp_path / "fisher.safetensors")
    tensors = load_file(tmp_path / "fisher.safetensors")
    with safe_open(tmp_path / "fisher.safetensors", framework="pt") as stored:
        metadata = stored.metadata()
    del tensors[f"sample.{field}"]
    save_file(tensors, tmp_path / "half.safetensors", metadata)
    with pytest.raises(StatisticsError, match=r"half.safetensors is damaged .*collect again"):
        load_statistics(tmp_path / "half.safetensors")


def test_a_file_of_the_first_format_is_read_as_one_without_a_sample(
    statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.fisher.files.STATISTICS_FORMAT", 1)
    save_statistics(replace(statistics, sample=None), tmp_path / "old.safetensors")
    monkeypatch.undo()
    read = load_statistics(tmp_path / "old.safetensors")
    assert (read.examples, read.sample) == (statistics.examples, None)


def test_a_shared_gram_is_stored_once_and_stays_shared(statistics: Statistics, tmp_path: Path) -> None:
    save_statistics(statistics, tmp_path / "fisher.safetensors")
    with safe_open(tmp_path / "fisher.safetensors", framework="pt") as file:
        grams = [key for key in file.keys() if key.endswith("input_gram")]  # noqa: SIM118 - safe_open is no dict
    assert len(grams) == 2 * 4
    layers = load_statistics(tmp_path / "fisher.safetensors").layers
    query, key, dense = (
        layers[f"encoder.layer.0.attention.{path}"].input_gram for path in ("self.query", "self.key", "output.dense")
    )
    assert query is key
    assert query is not dense


def test_collections_that_were_not_made_are_read_as_none(tmp_path: Path) -> None:
    rows = LayerStatistics(row_input=torch.ones(3), row_output=torch.ones(2))
    statistics = Statistics({"layer": rows}, 1, 1, ("row",), StatisticsSource("0" * 64))
    save_statistics(statistics, tmp_path / "rows.safetensors")
    layer = load_statistics(tmp_path / "rows.safetensors").layers["layer"]
    assert (layer.input_gram, layer.gradient_gram, layer.element) == (None, None, None)


def test_statistics_of_another_format_are_refused(
    statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.fisher.files.STATISTICS_FORMAT", 3)
    save_statistics(statistics, tmp_path / "new.safetensors")
    monkeypatch.undo()
    with pytest.raises(StatisticsError, match="has format 3, this version reads 2"):
        load_statistics(tmp_path / "new.safetensors")
