"""Every command does what it says."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from fwsvd_export.architectures.registry import FAMILIES
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.wording import grouped

Run = Callable[..., Result]
Succeed = Callable[..., str]
WriteRows = Callable[[list[dict[str, Any]]], Path]

METHODS = list(SOLVERS)
CODE = set(FAMILIES["bert"].code_files)
TOKEN_IDS = torch.tensor([[2, 5, 7, 9, 3]])


def test_fisher_writes_what_it_reports(tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed) -> None:
    file = tmp_path / "fisher.safetensors"
    data = ["--task", "sst2", "--data", data_file, "--max-samples", 20, "--labels", "sampled"]
    report = json.loads(succeed("fisher", tiny_folder, "-o", file, *data, "--collect", "row,element", "--json"))
    assert report["file"] == str(file)
    assert report["bytes"] == file.stat().st_size
    assert (report["layers"], report["examples"], report["labels"]) == (12, 20, "sampled")
    assert report["collected"] == ["row", "element"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("method", METHODS)
def test_compress_with_every_method_writes_the_folder_of_the_contract(
    method: str, tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    out = tmp_path / "small"
    options = ["--fisher", statistics_file, "--method", method, "--ratio", 0.5]
    report = json.loads(succeed("compress", tiny_folder, out, *options, "--json"))
    record = json.loads((out / "compression.json").read_text())
    assert report == {"output": str(out), **record}
    assert record["method"] == method
    assert record["parameters"]["ratio"] <= 0.5
    assert (record["fisher"] is None) == (method == "svd")
    tokenizer = {path.name for path in tiny_folder.iterdir()} - {"config.json", "model.safetensors"}
    expected = {"config.json", "model.safetensors", "README.md", "compression.json"} | CODE | tokenizer
    assert {path.name for path in out.iterdir()} == expected
    assert all((out / name).read_bytes() == (tiny_folder / name).read_bytes() for name in tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_compression_record_has_the_fields_of_the_contract(
    tiny_folder: Path, statistics_file: Path, compressed_folder: Path
) -> None:
    record = json.loads((compressed_folder / "compression.json").read_text())
    assert record["format"] == 1
    assert record["base_model"] == tiny_folder.name
    assert record["base_sha256"] == file_sha256(tiny_folder / "model.safetensors")
    assert (record["method"], record["allocate"]) == ("kfac", "uniform")
    parameters = record["parameters"]
    stored = load_file(compressed_folder / "model.safetensors")
    assert parameters["total_compressed"] == sum(tensor.numel() for tensor in stored.values())
    assert parameters["linear_dense"] == 2 * (4 * 32 * 32 + 2 * 32 * 64)
    assert parameters["linear_compressed"] == 2 * 6 * (4 * 64 + 2 * 96)
    assert parameters["ratio"] == parameters["linear_compressed"] / parameters["linear_dense"]
    dense_minus_small = parameters["linear_dense"] - parameters["linear_compressed"]
    assert parameters["total_dense"] - parameters["total_compressed"] == dense_minus_small
    assert record["reconstruction"]["sequences"] == 48
    assert record["layers"][4] == {
        "name": "encoder.layer.0.intermediate.dense",
        "shape": [64, 32],
        "rank": 6,
        "kept_dense": False,
        "predicted_loss": pytest.approx(record["layers"][4]["predicted_loss"], abs=0),
        "status": "exact",
        "width": None,
    }
    assert record["layers"][4]["predicted_loss"] > 0
    fisher = {
        "task": "sst2",
        "data": "train.jsonl",
        "examples": 48,
        "labels": "data",
        "max_length": 128,
        "temperature": 4.0,
    }
    assert record["fisher"] == {**fisher, "sha256": file_sha256(statistics_file)}
    assert {"load", "solve"} <= set(record["seconds"])
    assert {"fwsvd-export", "torch", "transformers", "python"} <= set(record["versions"])


def test_data_and_a_statistics_file_of_it_give_the_same_weights(
    tiny_folder: Path, data_file: Path, compressed_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data = ["--task", "sst2", "--data", data_file]
    succeed("compress", tiny_folder, tmp_path / "small", *data, "--rank", 6)
    mine, its = (load_file(folder / "model.safetensors") for folder in (tmp_path / "small", compressed_folder))
    assert mine.keys() == its.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, its[name], rtol=1e-4, atol=1e-5)


def test_same_command_and_seed_give_the_same_bytes(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data = ["--task", "sst2", "--data", data_file, "--max-samples", 16, "--labels", "sampled"]
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        succeed("compress", tiny_folder, tmp_path / name, *data, "--rank", 5, "--seed", seed)
    first, again, other = (file_sha256(tmp_path / name / "model.safetensors") for name in ("first", "again", "other"))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("size", "total"), [(("--params", "20K"), 20_000), (("--ratio", "0.3"), 19_000), (("--rank", "2"), 10_500)]
)
def test_sizes_are_never_exceeded(
    size: tuple[str, str], total: int, tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    report = json.loads(succeed("compress", tiny_folder, tmp_path / "small", "--method", "svd", *size, "--json"))
    parameters = report["parameters"]
    stored = load_file(tmp_path / "small" / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == parameters["total_compressed"] <= total


def test_layers_that_would_grow_stay_dense_and_are_named(tiny_folder: Path, tmp_path: Path, run: Run) -> None:
    result = run("compress", tiny_folder, tmp_path / "small", "--method", "svd", "--rank", 18)
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    kept = [layer["name"] for layer in record["layers"] if layer["kept_dense"]]
    assert len(kept) == 8
    assert all(name in result.stderr for name in grouped(kept))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype_is_that_of_the_saved_weights(dtype: str, tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    small, plain = tmp_path / "small", tmp_path / "plain"
    succeed("compress", tiny_folder, small, "--method", "svd", "--rank", 4, "--dtype", dtype)
    succeed("densify", small, plain)
    for folder in (small, plain):
        weights = load_file(folder / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {getattr(torch, dtype)}
    again = tmp_path / "again"
    succeed("compress", plain, again, "--method", "svd", "--rank", 3)
    assert load_file(again / "model.safetensors")["classifier.weight"].dtype == getattr(torch, dtype)


@pytest.mark.parametrize(("task", "metric"), [("sst2", "accuracy"), ("cola", "matthews_correlation")])
def test_evaluate_prints_the_fields_of_the_contract(
    task: str, metric: str, compressed_folder: Path, data_file: Path, succeed: Succeed
) -> None:
    found = json.loads(succeed("evaluate", compressed_folder, "--task", task, "--data", data_file, "--json"))
    contract = ["model", "task", "metric", "value", "examples", "runtime", "seconds"]
    assert list(found) == [*contract, "beside", "data", "sha256", "environment", "cut", "skipped", "difference"]
    assert (found["model"], found["task"], found["metric"]) == (str(compressed_folder), task, metric)
    assert (found["examples"], found["runtime"], found["cut"], found["skipped"]) == (48, "torch", 0, 0)
    assert -1 <= found["value"] <= 1


def test_evaluate_counts_right_answers(tiny_folder: Path, tiny_model: Any, data_file: Path, succeed: Succeed) -> None:
    from transformers import AutoTokenizer

    rows = [json.loads(line) for line in data_file.read_text().splitlines()]
    tokens = AutoTokenizer.from_pretrained(tiny_folder)(
        [row["sentence"] for row in rows], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        answers = tiny_model(**tokens).logits.argmax(dim=-1).tolist()
    right = sum(answer == row["label"] for answer, row in zip(answers, rows, strict=True)) / len(rows)
    found = json.loads(succeed("evaluate", tiny_folder, "--task", "sst2", "--data", data_file, "--json"))
    assert found["value"] == pytest.approx(right)
    assert 0 < right < 1


def test_evaluate_measures_regression_on_pairs(
    regression_folder: Path, make_sentences: Callable[..., list[str]], write_rows: WriteRows, succeed: Succeed
) -> None:
    texts = make_sentences(24)
    rows = [
        {"sentence1": first, "sentence2": second, "label": index / 4}
        for index, (first, second) in enumerate(zip(texts, reversed(texts), strict=True))
    ]
    found = json.loads(succeed("evaluate", regression_folder, "--task", "stsb", "--data", write_rows(rows), "--json"))
    assert (found["metric"], found["examples"]) == ("pearson_spearman_mean", 24)
    assert found["value"] == pytest.approx((found["pearson"] + found["spearman"]) / 2)


def test_columns_can_be_named(tiny_folder: Path, write_rows: WriteRows, succeed: Succeed) -> None:
    file = write_rows([{"a": "good film", "b": "bad plot", "y": "LABEL_1"}, {"a": "dull", "b": "fine", "y": "LABEL_0"}])
    columns = ["--text-column", "a", "--text-pair-column", "b", "--label-column", "y"]
    found = json.loads(succeed("evaluate", tiny_folder, "--task", "mrpc", "--data", file, *columns, "--json"))
    assert found["examples"] == 2
    assert "f1" in found


def test_inspect_tells_a_dense_model_from_a_compressed_one(
    tiny_folder: Path, compressed_folder: Path, succeed: Succeed
) -> None:
    dense, small = (json.loads(succeed("inspect", folder, "--json")) for folder in (tiny_folder, compressed_folder))
    assert (dense["class"], small["class"]) == ("BertForSequenceClassification", "LowRankBertForSequenceClassification")
    assert (dense["compressed"], dense["compression"], small["compressed"]) == (False, None, True)
    record = json.loads((compressed_folder / "compression.json").read_text())
    assert small["compression"] == record
    assert small["parameters"] == {
        "total": record["parameters"]["total_compressed"],
        "linear": record["parameters"]["linear_compressed"],
        "linear_dense": dense["parameters"]["linear"],
    }
    assert [layer["rank"] for layer in small["layers"]] == [6] * 12
    assert [layer["shape"] for layer in small["layers"]] == [layer["shape"] for layer in dense["layers"]]
    assert {layer["rank"] for layer in dense["layers"]} == {None}


def test_tables_name_what_was_found(tiny_folder: Path, compressed_folder: Path, succeed: Succeed) -> None:
    text = succeed("inspect", compressed_folder)
    assert all(word in text for word in ("kfac", tiny_folder.name, "encoder.layer.0-1.output.dense", "48 examples"))
    assert "encoder.layer.0-1.output.dense" in succeed("inspect", tiny_folder)


def test_inspect_shows_equal_layers_in_one_row(
    tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    rows = [line for line in succeed("inspect", tiny_folder).splitlines() if "encoder.layer." in line]
    assert len(rows) == 6
    assert all("encoder.layer.0-1." in row and "dense" in row for row in rows)
    options = ["--fisher", statistics_file, "--rank", 6, "--keep-dense", "*.0.output.dense"]
    succeed("compress", tiny_folder, tmp_path / "small", *options)
    text = succeed("inspect", tmp_path / "small")
    assert "12 layers" in text
    rows = [" ".join(line.split()) for line in text.splitlines() if ".output.dense " in line]
    losses = [
        f"{layer['predicted_loss']:.3g}"
        for layer in json.loads((tmp_path / "small" / "compression.json").read_text())["layers"]
        if layer["name"].endswith("attention.output.dense")
    ]
    assert [row.strip("│ ") for row in rows[:1]] == [
        f"encoder.layer.0-1.attention.output.dense │ 32 x 32 │ 6 │ 384 │ {' to '.join(sorted(losses, key=float))}"
    ]
    assert "encoder.layer.0.output.dense │ 32 x 64 │ dense │ 2,048 │ 0 │" in rows[1]
    assert "encoder.layer.1.output.dense │ 32 x 64 │ 6 │ 576 │" in rows[2]


def test_layers_kept_dense_are_named_in_groups(tiny_folder: Path, tmp_path: Path, run: Callable[..., Result]) -> None:
    options = ["--method", "svd", "--rank", 4, "--keep-dense", "*.query", "--keep-dense", "*.1.intermediate.dense"]
    said = run("compress", tiny_folder, tmp_path / "out", *options).stderr
    names = "encoder.layer.0-1.attention.self.query, encoder.layer.1.intermediate.dense"
    assert f"would save nothing there: {names}\n" in said


def test_densified_model_answers_as_the_compressed_one_without_remote_code(
    compressed_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    from fwsvd_export.checkpoints.load import load_checkpoint

    plain = tmp_path / "plain"
    report = json.loads(succeed("densify", compressed_folder, plain, "--json"))
    assert report["class"] == "BertForSequenceClassification"
    config = json.loads((plain / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert not {"low_rank", "auto_map"} & set(config)
    assert not list(plain.glob("*.py"))
    dense = AutoModelForSequenceClassification.from_pretrained(plain).eval()
    small = load_checkpoint(str(compressed_folder)).model
    with torch.no_grad():
        torch.testing.assert_close(dense(TOKEN_IDS).logits, small(TOKEN_IDS).logits, rtol=0, atol=1e-5)


def forget_imported_code() -> dict[str, ModuleType]:
    """Takes the code of checkpoints out of sys.modules, and returns it."""
    names = [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def nothing_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process: transformers has imported no checkpoint's code, and copies it to this test's folder."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    before = forget_imported_code()
    yield
    forget_imported_code()
    sys.modules.update(before)


@pytest.mark.usefixtures("nothing_imported")
@pytest.mark.parametrize("name", FAMILIES["bert"].code_files)
def test_foreign_code_runs_only_when_trusted(
    name: str, compressed_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(compressed_folder, folder)
    marker = tmp_path / "ran"
    with (folder / name).open("a") as code:
        code.write(f"\nopen({str(marker)!r}, 'w').close()\n")
    arguments = ["evaluate", folder, "--task", "sst2", "--data", data_file, "--json"]
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--trust-remote-code" in refused.stderr
    assert not marker.exists()
    trusted = run(*arguments, "--trust-remote-code")
    assert trusted.exit_code == 0, trusted.output
    assert marker.exists()
    assert (
        json.loads(trusted.stdout)["value"]
        == json.loads(run("evaluate", compressed_folder, *arguments[2:]).stdout)["value"]
    )


@pytest.mark.parametrize("words", [["--fisher-axis", "output"], ["--solver-option", "axis=output"]])
def test_the_axis_of_fwsvd_and_its_alias_are_recorded_alike(
    words: list[str], tiny_folder: Path, statistics_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    given = ["--fisher", statistics_file, "--method", "fwsvd", "--rank", 4, "--json"]
    axes = []
    for place, more in enumerate((words, [])):
        asked = json.loads(succeed("compress", tiny_folder, tmp_path / str(place), *given, *more))["asked"]
        assert asked["solver_options"] == {"axis": asked["fisher_axis"]}
        axes.append(asked["fisher_axis"])
    assert axes == ["output", "input"]


def test_methods_lists_every_solver(succeed: Succeed) -> None:
    rows = json.loads(succeed("methods", "--json"))["methods"]
    assert [row["name"] for row in rows] == METHODS
    assert len(METHODS) == 8
    assert all(row["minimises"] and row["source"] for row in rows)
    assert [row["name"] for row in rows if not row["exact"]] == ["em", "nesterov", "anderson", "als"]
    for row in rows:
        assert row["options"] == asdict(SOLVERS[row["name"]].options())
        assert ({"start", "max_iterations", "tolerance"} <= row["options"].keys()) != row["exact"]
    cells = [[cell.strip() for cell in line.split("│")] for line in succeed("methods").splitlines() if "│" in line]
    kinds = {name: kind for _, name, _, kind, *_ in cells if name}
    assert kinds == {row["name"]: "exact" if row["exact"] else "iterative" for row in rows}


def test_progress_goes_to_stderr_and_quiet_silences_it(
    tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    arguments = ["compress", tiny_folder, tmp_path / "small", "--task", "sst2", "--data", data_file, "--rank", 4]
    loud = run(*arguments)
    quiet = run("-q", *arguments, "--overwrite")
    for words in ("collecting Fisher statistics", "solving layers"):
        assert words in loud.stderr
        assert words not in loud.stdout
    assert quiet.stderr == ""
    assert "linear weights" in quiet.stdout


@pytest.mark.parametrize("kind", ["folder", "file", "empty folder"])
def test_overwrite_replaces_the_output_whole(kind: str, tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("old")
    else:
        out.mkdir()
    if kind == "folder":
        (out / "old.txt").write_text("old")
    overwrite = [] if kind == "empty folder" else ["--overwrite"]
    succeed("compress", tiny_folder, out, "--method", "svd", "--rank", 4, *overwrite)
    assert (out / "model.safetensors").is_file()
    assert not (out / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_several_weight_files_are_read_as_one(tiny_model: Any, tmp_path: Path, succeed: Succeed) -> None:
    tiny_model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    tiny_model.save_pretrained(tmp_path / "whole")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    for name in ("sharded", "whole"):
        succeed("compress", tmp_path / name, tmp_path / f"{name}-small", "--method", "svd", "--rank", 4)
    weights = [(tmp_path / f"{name}-small" / "model.safetensors").read_bytes() for name in ("sharded", "whole")]
    assert weights[0] == weights[1]
