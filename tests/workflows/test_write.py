from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from torch import Tensor

import fwsvd_export
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import CheckpointError
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.source import Source

# 20 * (32 + 32) > 32 * 32 but 20 * (64 + 32) < 64 * 32: the square layers stay dense, the others are factorised
RANK = 20


FIELDS = {
    "format",
    "base_model",
    "base_sha256",
    "method",
    "allocate",
    "reconstruction",
    "parameters",
    "layers",
    "fisher",
    "seconds",
    "files",
    "history",
}


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


@pytest.fixture(scope="module")
def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    return ModelCard.load(folder / "README.md")


def test_the_record_has_the_documented_fields(record: dict[str, Any]) -> None:
    assert {*FIELDS, "versions"} <= record.keys()
    assert record["parameters"].keys() == {
        "linear_dense",
        "linear_compressed",
        "ratio",
        "total_dense",
        "total_compressed",
    }
    for layer in record["layers"]:
        assert {"name", "shape", "rank", "kept_dense", "predicted_loss"} <= layer.keys()
    assert {"load", "statistics", "solve"} <= record["seconds"].keys()
    assert record["versions"]["fwsvd-export"] == fwsvd_export.__version__


def test_tensor_names_and_shapes_follow_the_record(record: dict[str, Any], weights: dict[str, Tensor]) -> None:
    assert len(record["layers"]) == 12
    assert {layer["kept_dense"] for layer in record["layers"]} == {True, False}
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    for layer in record["layers"]:
        prefix, (out, into), rank = f"bert.{layer['name']}", layer["shape"], layer["rank"]
        found = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(f"{prefix}.")}
        if layer["kept_dense"]:
            assert rank is None
            assert found == {".weight": [out, into], ".bias": [out]}
            assert layer["predicted_loss"] == 0
        else:
            assert rank == RANK
            assert found == {".down.weight": [rank, into], ".up.weight": [out, rank], ".up.bias": [out]}
            assert layer["predicted_loss"] > 0


def test_the_configuration_holds_the_ranks_of_the_record(folder: Path, record: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ranks = {layer["name"]: layer["rank"] for layer in record["layers"] if not layer["kept_dense"]}
    assert config["low_rank"] == {"ranks": ranks, "method": "kfac"}


def test_parameter_counts_are_those_of_the_stored_weights(
    record: dict[str, Any], weights: dict[str, Tensor], tiny_folder: Path
) -> None:
    dense = load_file(tiny_folder / "model.safetensors")

    def linear_weights(tensors: dict[str, Tensor]) -> int:
        inner = re.compile(r"bert\.encoder\.layer\.\d+\.(?!.*LayerNorm).*weight")
        return sum(tensor.numel() for name, tensor in tensors.items() if inner.fullmatch(name))

    assert record["parameters"] == {
        "linear_dense": linear_weights(dense),
        "linear_compressed": linear_weights(weights),
        "ratio": linear_weights(weights) / linear_weights(dense),
        "total_dense": sum(tensor.numel() for tensor in dense.values()),
        "total_compressed": sum(tensor.numel() for tensor in weights.values()),
    }


def test_the_record_holds_the_digest_of_the_weights(record: dict[str, Any], folder: Path) -> None:
    weights = folder / "model.safetensors"
    assert record["files"] == {weights.name: {"bytes": weights.stat().st_size, "sha256": file_sha256(weights)}}


def test_the_history_begins_with_the_compression(record: dict[str, Any], folder: Path) -> None:
    digest = file_sha256(folder / "model.safetensors")
    assert record["history"] == [{"action": "compress", "sha256": digest, "details": {}}]
    assert "gate" not in record


def test_the_tokenizer_is_copied_byte_for_byte(folder: Path, tiny_folder: Path) -> None:
    names = [file.name for file in tiny_folder.iterdir() if file.name not in ("config.json", "model.safetensors")]
    assert "tokenizer.json" in names
    assert all((folder / name).read_bytes() == (tiny_folder / name).read_bytes() for name in names)


def test_the_card_states_the_numbers_of_the_record(card: ModelCard, record: dict[str, Any]) -> None:
    parameters = record["parameters"]
    for name in ("total_dense", "total_compressed", "linear_dense", "linear_compressed"):
        assert f"{parameters[name]:,}" in card.text
    assert f"{100 * parameters['ratio']:.1f} %" in card.text
    assert record["base_sha256"] in card.text
    assert "48 examples of `train.jsonl` (task `sst2`), labels: data" in card.text
    assert (
        'AutoModelForSequenceClassification.from_pretrained(name, revision="main", trust_remote_code=True)' in card.text
    )


def test_the_card_metadata_parse(card: ModelCard) -> None:
    assert card.data.to_dict()["library_name"] == "transformers"
    assert card.data.pipeline_tag == "text-classification"
    assert {"fwsvd-export", "low-rank", "kfac"} <= set(card.data.tags)


@pytest.mark.parametrize("name", ["README.md", "compression.json", "config.json"])
def test_no_file_names_a_local_folder(name: str, folder: Path, tiny_folder: Path, data_file: Path) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert [str(path) for path in (folder, tiny_folder.parent, data_file.parent) if str(path) in text] == []


def test_a_local_base_is_no_base_model_even_when_it_was_given_as_a_relative_path(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_folder.parents[1])
    source = Source("/".join(tiny_folder.parts[-2:]), device="cpu")
    run_compress(CompressRequest(source, tmp_path / "small", "svd", RankRequest(Budget(rank=5))))
    assert ModelCard.load(tmp_path / "small" / "README.md").data.base_model is None
    record = read_compression(tmp_path / "small")
    assert (record.base_model, record.fisher) == (tiny_folder.name, None)


def test_a_folder_without_a_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no compression\.json"):
        read_compression(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not readable JSON"),
        (b"\xff\xfe", "is not readable JSON"),
        (b"[1]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
    ],
)
def test_a_damaged_record_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "compression.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_compression(tmp_path)
