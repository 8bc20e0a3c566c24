"""compress --embeddings: the word embeddings factorised too, in every size, record and command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import fisher as workflow

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
Compress = Callable[..., dict[str, Any]]
LINEAR, TOTAL = 16384, 16384 + 4802  # of the two-class model; its table has 25 x 32
TABLE = "embeddings.word_embeddings"
RANKS = {0.3: 4, 0.5: 7, 0.9: 12}  # 57 weights a rank
SENTENCES = {
    "old": "the statistics hold nothing of the word embeddings (an earlier version collected them); collect again with "
    "fwsvd-export fisher",
    "small": "embeddings 0.05 leaves 40 weights, less than rank 1 needs (57); ask for at least 0.0713",
    "large": "embeddings 1.5: a number above 0 and at most 1 is allowed (the fraction of the word embeddings' weights "
    "to keep)",
}


@pytest.fixture
def compress(tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Succeed) -> Compress:
    """A function that compresses the two-class model with statistics into tmp_path/small; what --json says."""

    def compress(*options: object) -> dict[str, Any]:
        words = ["compress", tiny_folder, tmp_path / "small", "--fisher", statistics_file, *options, "--overwrite"]
        said: dict[str, Any] = json.loads(succeed(*words, "--json"))
        return said

    return compress


def assert_counted(said: dict[str, Any], folder: Path, rank: int | None) -> None:
    """The record is what --json says, and its counts and ranks are those of the weights."""
    record = json.loads((folder / "compression.json").read_text())
    assert said == {"output": str(folder), **record}
    stored = load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == record["parameters"]["total_compressed"]
    assert total_parameters(load_checkpoint(str(folder)).model) == record["parameters"]["total_compressed"]
    assert record["embeddings"]["rank"] == rank
    assert (record["embeddings"]["name"], record["embeddings"]["shape"]) == (TABLE, [25, 32])
    assert (record["embeddings"]["predicted_loss"] > 0) == (rank is not None)
    ranks = json.loads((folder / "config.json").read_text())["low_rank"]["ranks"]
    assert ranks.get(TABLE) == rank
    assert TABLE not in {layer["name"] for layer in record["layers"]}
    if rank is None:
        assert stored[f"bert.{TABLE}.weight"].shape == (25, 32)
    else:
        assert stored[f"bert.{TABLE}.table.weight"].shape == (25, rank)
        assert stored[f"bert.{TABLE}.projection.weight"].shape == (32, rank)


@pytest.mark.parametrize(("share", "rank"), RANKS.items())
@pytest.mark.parametrize("method", ["svd", "kfac", "fwsvd", "als"])
def test_a_ratio_of_the_layers_goes_with_a_share_of_the_words(
    method: str, share: float, rank: int, compress: Compress, tmp_path: Path
) -> None:
    said = compress("--ratio", 0.4, "--embeddings", share, "--method", method)
    assert_counted(said, tmp_path / "small", rank)
    assert said["asked"]["embeddings"] == share
    assert said["parameters"]["linear_compressed"] <= 0.4 * LINEAR
    biases = sum(64 - layer["width"] for layer in said["layers"] if layer["width"] and layer["shape"] == [64, 32])
    assert said["parameters"]["total_compressed"] == TOTAL - LINEAR + said["parameters"]["linear_compressed"] - (
        25 * 32 - rank * (25 + 32) + biases
    )


@pytest.mark.parametrize("options", [["--rank", 5], ["--rank", 22, "--method", "svd"]])
def test_one_rank_everywhere_is_that_of_the_layers(options: list[object], compress: Compress, tmp_path: Path) -> None:
    said = compress(*options, "--embeddings", 0.5)
    assert_counted(said, tmp_path / "small", 7)
    assert {layer["rank"] for layer in said["layers"]} <= {5, None}


@pytest.mark.parametrize("method", ["svd", "kfac"])
@pytest.mark.parametrize("params", [8_000, 11_111, 17_000])
def test_a_budget_of_parameters_includes_the_words(
    params: int, method: str, compress: Compress, tmp_path: Path
) -> None:
    said = compress("--params", params, "--embeddings", 0.3, "--method", method)
    assert_counted(said, tmp_path / "small", 4)
    assert said["parameters"]["total_compressed"] <= params
    without = compress("--params", params, "--method", method)
    assert_counted(without, tmp_path / "small", None)
    assert said["parameters"]["linear_compressed"] >= without["parameters"]["linear_compressed"]


def test_a_budget_that_only_smaller_words_make_possible(
    compress: Compress, tiny_folder: Path, statistics_file: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--fisher", statistics_file, "--params", 5_300]
    assert "less than the smallest ranks everywhere need" in refused(*words)
    assert compress("--params", 5_300, "--embeddings", 0.1)["parameters"]["total_compressed"] <= 5_300


def test_all_of_the_words_weights_keep_them_dense(compress: Compress, tmp_path: Path) -> None:
    said = compress("--ratio", 0.4, "--embeddings", 1)
    assert_counted(said, tmp_path / "small", None)
    assert said["asked"]["embeddings"] == 1
    plain = compress("--ratio", 0.4)
    assert said["layers"] == plain["layers"]


def test_the_table_and_inspect_tell_of_the_words(
    tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    words = ["--fisher", statistics_file, "--ratio", 0.4]
    said = succeed("compress", tiny_folder, tmp_path / "small", *words, "--embeddings", 0.5)
    assert "rank 7, 399 of 800 (49.9 %)" in said
    assert "dense, 25 x 32" in succeed("compress", tiny_folder, tmp_path / "dense-words", *words)
    assert "25 x 32, rank 7" in succeed("inspect", tmp_path / "small")
    for folder, rank in ((tmp_path / "small", 7), (tmp_path / "dense-words", None), (tiny_folder, None)):
        found = json.loads(succeed("inspect", folder, "--json"))
        assert found["embeddings"] == {"name": TABLE, "shape": [25, 32], "rank": rank}
        assert found["parameters"]["total"] == sum(
            tensor.numel() for tensor in load_file(folder / "model.safetensors").values()
        )
    assert "25 x 32, dense" in succeed("inspect", tiny_folder)


def test_the_words_are_factorised_in_the_search_for_a_size_too(
    statistics_file: Path, tiny_folder: Path, tmp_path: Path, make_sentences: Callable[..., list[str]], run: Run
) -> None:
    rows = [{"sentence": text, "label": index % 2} for index, text in enumerate(make_sentences(40, seed=3))]
    (tmp_path / "held-out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--fisher", statistics_file, "--task", "sst2", "--validation", tmp_path / "held-out.jsonl", "--json"]
    result = run("compress", tiny_folder, tmp_path / "small", *words, "--max-drop", 0.3, "--embeddings", 0.5)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert_counted(said, tmp_path / "small", 7)
    assert len(said["gate"]["trials"]) > 2


def test_reconstruction_goes_with_factorised_words(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    words = ["--task", "sst2", "--data", data_file, "--ratio", 0.4, "--embeddings", 0.5, "--json"]
    said = json.loads(succeed("compress", tiny_folder, tmp_path / "small", *words))
    assert said["reconstruction"]["tokens"] > 0
    assert_counted(said, tmp_path / "small", 7)


def test_the_same_request_gives_the_same_bytes(compress: Compress, tmp_path: Path) -> None:
    digests = []
    for share in (0.5, 0.5, 0.4):
        compress("--ratio", 0.4, "--embeddings", share)
        digests.append(file_sha256(tmp_path / "small" / "model.safetensors"))
    assert digests[0] == digests[1] != digests[2]


def test_multiplied_out_and_evaluated_it_is_an_ordinary_model(
    compress: Compress, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    compress("--ratio", 0.4, "--embeddings", 0.5)
    succeed("densify", tmp_path / "small", tmp_path / "plain")
    values = [
        json.loads(succeed("evaluate", tmp_path / name, "--task", "sst2", "--data", data_file, "--json"))["value"]
        for name in ("small", "plain")
    ]
    assert values[0] == values[1]
    plain = load_file(tmp_path / "plain" / "model.safetensors")
    factors = load_file(tmp_path / "small" / "model.safetensors")
    product = factors[f"bert.{TABLE}.table.weight"] @ factors[f"bert.{TABLE}.projection.weight"].T
    torch.testing.assert_close(plain[f"bert.{TABLE}.weight"], product)


def test_the_exported_graph_computes_the_same(compress: Compress, tmp_path: Path, succeed: Succeed) -> None:
    compress("--ratio", 0.4, "--embeddings", 0.5)
    said = json.loads(succeed("onnx", tmp_path / "small", "--json"))
    assert said["check"]["within"]
    assert said["check"]["worst"]["max_difference"] < 1e-4


@pytest.mark.parametrize(
    ("share", "code", "sentence"), [("half", 2, "'half'"), (0.05, 1, "small"), (1.5, 1, "large"), (0, 1, "above 0")]
)
def test_shares_that_cannot_be_are_refused_before_any_long_work(
    share: object,
    code: int,
    sentence: str,
    tiny_folder: Path,
    data_file: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(workflow, "collect_statistics")
    words = ["--task", "sst2", "--data", data_file, "--ratio", 0.4, "--embeddings", share]
    assert SENTENCES.get(sentence, sentence) in refused("compress", tiny_folder, tmp_path / "out", *words, code=code)


def test_a_statistics_file_of_before_is_refused_where_words_are_wanted(
    tiny_folder: Path, statistics_file: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, refused: Refused
) -> None:
    old = tmp_path_factory.mktemp("old") / "fisher.safetensors"
    save_statistics(load_statistics(statistics_file), old)
    tensors = load_file(old)
    with safe_open(old, framework="pt") as file:
        metadata = file.metadata()
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("embedding.")}
    assert len(kept) == len(tensors) - 2
    save_file(kept, old, metadata=metadata)
    words = ["compress", tiny_folder, tmp_path / "out", "--fisher", old, "--ratio", 0.4]
    assert refused(*words, "--embeddings", 0.5) == f"Error: {SENTENCES['old']}"
