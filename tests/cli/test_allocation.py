"""How compress shares a budget among the layers, and the limits of the ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.ranks import prices
from fwsvd_export.ranks.prices import MeasuredTimes
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import fisher as workflow

Ranks = dict[str, int | None]
LINEAR, TOTAL = 16384, 16384 + 4802  # of the two-class model
VALUES = ["encoder.layer.0.attention.self.value", "encoder.layer.1.attention.self.value"]


@pytest.fixture
def compress(
    tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> Callable[..., dict[str, Any]]:
    """A function that compresses the two-class model with statistics into tmp_path/small; its record."""

    def compress(*options: object) -> dict[str, Any]:
        words = ["compress", tiny_folder, tmp_path / "small", "--fisher", statistics_file, *options, "--overwrite"]
        record: dict[str, Any] = json.loads(succeed(*words, "--json"))
        return record

    return compress


def ranks_of(record: dict[str, Any]) -> Ranks:
    return {layer["name"]: layer["rank"] for layer in record["layers"]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ratio", 0.4], "greedy"),
        (["--params", "12K"], "greedy"),
        (["--rank", 5], "uniform"),
        (["--ratio", 0.4, "--allocate", "uniform"], "uniform"),
        (["--ratio", 0.4, "--allocate", "greedy"], "greedy"),
        *((["--ratio", 0.4, "--method", method], "uniform") for method in SOLVERS if method != "kfac"),
    ],
)
def test_kfac_shares_the_budget_and_the_other_methods_give_every_layer_the_same_rank(
    options: list[Any], expected: str, compress: Callable[..., dict[str, Any]]
) -> None:
    record = compress(*options)
    assert record["allocate"] == expected
    assert (len(set(ranks_of(record).values())) > 1) == (expected == "greedy")


@pytest.mark.parametrize("method", [name for name in SOLVERS if name != "kfac"])
def test_methods_whose_losses_do_not_compare_share_no_budget(
    method: str, tiny_folder: Path, statistics_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    options = ["--fisher", statistics_file, "--method", method, "--ratio", 0.5, "--allocate", "greedy"]
    assert refused("compress", tiny_folder, tmp_path / "out", *options) == (
        "Error: allocate greedy needs losses that compare across layers and ranks, which method "
        f"{method} does not give; use --method kfac, or --allocate uniform"
    )


@pytest.mark.parametrize(
    ("size", "linear", "total"),
    [
        (("--ratio", "0.1"), 0.1 * LINEAR, TOTAL),
        (("--ratio", "0.47"), 0.47 * LINEAR, TOTAL),
        (("--ratio", "0.95"), 0.95 * LINEAR, TOTAL),
        (("--params", "9001"), LINEAR, 9001),
        (("--params", "15K"), LINEAR, 15_000),
    ],
)
def test_a_shared_budget_is_filled_and_never_exceeded(
    size: tuple[str, str], linear: float, total: int, compress: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    parameters = compress(*size)["parameters"]
    assert (parameters["linear_dense"], parameters["total_dense"]) == (LINEAR, TOTAL)
    stored = load_file(tmp_path / "small" / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == parameters["total_compressed"]
    room = min(linear - parameters["linear_compressed"], total - parameters["total_compressed"])
    assert 0 <= room < 96, "no step has more weights"


def test_the_same_budget_gives_the_same_bytes(compress: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    digests = []
    for ratio in (0.3, 0.3, 0.35):
        compress("--ratio", ratio)
        digests.append(file_sha256(tmp_path / "small" / "model.safetensors"))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("allocate", ["greedy", "uniform"])
def test_layers_to_keep_dense_stay_so_and_no_others(
    allocate: str, compress: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    record = compress("--ratio", 0.5, "--allocate", allocate, "--keep-dense", "*.value", "--max-rank", 15)
    assert [layer["name"] for layer in record["layers"] if layer["kept_dense"]] == VALUES
    ranks = ranks_of(json.loads((tmp_path / "small" / "compression.json").read_text()))
    assert [name for name, rank in ranks.items() if rank is None] == VALUES
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["low_rank"]["ranks"] == {name: rank for name, rank in ranks.items() if name not in VALUES}
    assert record["asked"]["limits"] == {"multiple": 1, "smallest": 1, "largest": 15, "keep_dense": ["*.value"]}
    model = load_checkpoint(str(tmp_path / "small")).model
    assert model.bert.get_submodule(VALUES[0]).weight.shape == (32, 32)


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        (["--ratio", 0.6, "--rank-multiple", 8], {8, 16, None}),
        (["--ratio", 0.6, "--rank-multiple", 8, "--allocate", "uniform"], {8, 16, None}),
        (["--rank", 15, "--rank-multiple", 8], {8}),
        (["--rank", 4, "--rank-multiple", 8], {8}),
        (["--ratio", 0.3, "--min-rank", 4, "--max-rank", 6], {4, 5, 6}),
        (["--ratio", 1, "--max-rank", 6], {6}),
        (["--params", "12K", "--rank-multiple", 3, "--min-rank", 5, "--max-rank", 10], {6, 9}),
    ],
)
def test_every_rank_is_within_the_limits(
    options: list[Any], allowed: set[int | None], compress: Callable[..., dict[str, Any]]
) -> None:
    found = set(ranks_of(compress(*options)).values())
    assert found <= allowed
    assert found != {None}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--rank", 4, "--allocate", "greedy"], 1, "allocate greedy shares a budget among the layers"),
        (["--ratio", 0.5, "--keep-dense", "*.pooler"], 1, "keep-dense '*.pooler' matches no layer"),
        (["--ratio", 0.5, "--keep-dense", "*"], 1, "ask for a ratio of at least 1, or 21,186 parameters"),
        (["--ratio", 0.5, "--rank-multiple", 0], 1, "rank multiple 0: a whole number of at least 1"),
        (["--ratio", 0.5, "--min-rank", -1], 1, "smallest rank -1: a whole number of at least 1"),
        (["--ratio", 0.5, "--min-rank", 9, "--max-rank", 8], 1, "largest rank 8: a whole number of at least 9"),
        (["--ratio", 0.5, "--rank-multiple", 8, "--max-rank", 7], 1, "largest rank 7: a whole number of at least 8"),
        (["--ratio", 0.5, "--min-rank", 12], 1, "ask for a ratio of at least"),
        (["--ratio", 0.5, "--max-rank", "few"], 2, "'few'"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(
    options: list[Any],
    code: int,
    words: str,
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    options = ["--fisher", statistics_file, *options]
    assert words in refused("compress", tiny_folder, tmp_path / "out", *options, code=code)


@pytest.mark.parametrize("cost", ["params", "flops", "latency"])
def test_the_cost_of_a_component_is_recorded_and_never_breaks_the_budget(
    cost: str, compress: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for size, total in ((("--ratio", 0.35), TOTAL), (("--params", 11_000), 11_000)):
        record = compress(*size, "--cost", cost)
        assert (record["asked"]["cost"], record["allocate"]) == (cost, "greedy")
        assert json.loads((tmp_path / "small" / "compression.json").read_text())["asked"]["cost"] == cost
        assert record["parameters"]["total_compressed"] <= total
        assert record["parameters"]["ratio"] <= (0.35 if size[0] == "--ratio" else 1)


def test_operations_give_the_ranks_of_weights_and_slow_shapes_give_others(
    compress: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_weights, by_operations = (ranks_of(compress("--ratio", 0.35, "--cost", cost)) for cost in ("params", "flops"))
    assert by_weights == by_operations
    assert ranks_of(compress("--ratio", 0.35)) == by_weights

    def slow_when_square(shape: tuple[int, int], device: Any) -> MeasuredTimes:
        return MeasuredTimes((1, 16), (0.1, 1.6) if shape == (32, 32) else (0.001, 0.016), 2.0)

    monkeypatch.setattr(prices, "measure", slow_when_square)
    by_time = ranks_of(compress("--ratio", 0.35, "--cost", "latency"))
    square = [name for name in by_weights if "attention" in name]
    assert sum(by_time[name] or 32 for name in square) < sum(by_weights[name] or 32 for name in square)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--ratio", 0.4, "--cost", "latency", "--allocate", "uniform"],
            "cost latency is for greedy ranks, and these are uniform; leave out --cost",
        ),
        (["--rank", 4, "--cost", "flops"], "cost flops is for greedy ranks, and these are uniform; leave out --cost"),
        (
            ["--ratio", 0.4, "--cost", "latency", "--method", "svd"],
            "cost latency is for greedy ranks, and these are uniform; leave out --cost",
        ),
    ],
)
def test_costs_that_nothing_would_look_at_are_refused_before_any_long_work(
    options: list[object],
    sentence: str,
    tiny_folder: Path,
    data_file: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(workflow, "collect_statistics")
    data = [] if "svd" in options else ["--task", "sst2", "--data", data_file]
    assert refused("compress", tiny_folder, tmp_path / "out", *data, *options) == f"Error: {sentence}"
