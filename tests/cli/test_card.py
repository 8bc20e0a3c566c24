"""``card`` as a user runs it, from measuring to the card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from safetensors.torch import load_file, save_file

from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.storage.digest import file_sha256

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

SPEED = ["--threads", 1, "--rounds", 1, "--batch-sizes", 1, "--lengths", 4]


@pytest.fixture
def model(compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the compressed model."""
    folder = tmp_path_factory.mktemp("copies") / "small"
    shutil.copytree(compressed_folder, folder)
    return folder


@pytest.fixture(scope="module")
def results(
    run: Run, tiny_folder: Path, compressed_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What evaluate says of both models, and a bench of both."""
    place = tmp_path_factory.mktemp("results")
    task = ["--task", "sst2", "--data", data_file]
    for name, folder in (("dense", tiny_folder), ("small", compressed_folder)):
        result = run("evaluate", folder, *task, "--json")
        assert result.exit_code == 0, result.output
        (place / f"{name}.json").write_text(result.stdout)
    result = run("bench", tiny_folder, compressed_folder, "--runtime", "torch", *SPEED, "--json")
    assert result.exit_code == 0, result.output
    (place / "bench.json").write_text(result.stdout)
    return {file.stem: file for file in place.iterdir()}


def given(results: dict[str, Path], *names: str) -> list[object]:
    return [word for name in names for word in ("--results", results[name])]


def test_evaluate_says_what_it_measured(results: dict[str, Path], tiny_folder: Path) -> None:
    found = json.loads(results["dense"].read_text())
    assert found["sha256"] == file_sha256(tiny_folder / "model.safetensors")
    assert (found["data"], found["beside"]) == ("train.jsonl", {})
    assert {"cpu", "cores", "gpu", "threads", "versions"} <= found["environment"].keys()


def test_bench_says_what_it_measured(results: dict[str, Path], compressed_folder: Path) -> None:
    dense, small = json.loads(results["bench"].read_text())["models"]
    assert small["sha256"] == file_sha256(compressed_folder / "model.safetensors") != dense["sha256"]
    assert small["examples"] is None


def test_the_card_shows_what_was_measured(model: Path, results: dict[str, Path], succeed: Succeed) -> None:
    printed = succeed("card", model, *given(results, "dense", "small", "bench"))
    card, values = (model / "README.md").read_text(), {}
    for name in ("dense", "small"):
        values[name] = json.loads(results[name].read_text())["value"]
        assert f"{values[name]:.4f}" in printed
    check_card(card)
    row = "| `train.jsonl` (task `sst2`), 48 examples | `accuracy` | torch |"
    assert f"{row} {values['dense']:.4f} | {values['small']:.4f} |" in card
    assert re.search(
        r"\| torch \| 1 × 4 \| \d+\.\d \(\d+\.\d\) \| \d+\.\d \(\d+\.\d\) \| \d+\.\d\d × \| \d+\.\d\d × \|", card
    )
    metadata = split_front_matter(card)[1]
    assert metadata is not None
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == values["small"]
    assert str(model.parent) not in card + (model / "measurements.json").read_text()


def test_the_card_shows_how_sure_a_difference_is(
    model: Path, tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run, succeed: Succeed
) -> None:
    words = ["evaluate", model, "--against", tiny_folder, "--task", "sst2", "--data", data_file, "--json"]
    (tmp_path / "small.json").write_text(succeed(*words))
    found = json.loads((tmp_path / "small.json").read_text())
    result = run("card", model, "--results", tmp_path / "small.json")
    assert result.exit_code == 0, result.output
    card, difference = (model / "README.md").read_text(), found["difference"]
    check_card(card)
    ends = f"{difference['value']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}] (95 %)"
    assert "| data | metric | runtime | base | this model | difference |\n|---|---|---|---|---|---|\n" in card
    assert f"| `accuracy` | torch | {difference['dense']:.4f} | {found['value']:.4f} | {ends} |\n" in card
    assert "a paired bootstrap over the same examples: where it holds 0" in card
    assert "the base's metric" not in result.stderr
    assert "how sure the difference is" not in result.stderr
    assert str(model.parent) not in card + (model / "measurements.json").read_text()
    assert str(tiny_folder.parent) not in (model / "measurements.json").read_text()
    written = (model / "README.md").read_bytes()
    succeed("card", model)
    assert (model / "README.md").read_bytes() == written


def test_the_folder_alone_gives_the_same_card_again(model: Path, results: dict[str, Path], succeed: Succeed) -> None:
    place = ["--repo-id", "me/small", "--revision", "ab" * 20]
    succeed("card", model, *given(results, "dense", "small"), *place)
    first = (model / "README.md").read_bytes()
    assert b'name = "me/small"' in first
    assert b'revision="' + b"ab" * 20 in first
    succeed("card", model)
    assert (model / "README.md").read_bytes() == first
    succeed("card", model, *given(results, "bench"))
    assert b"| torch | 1 \xc3\x97 4 |" in (model / "README.md").read_bytes()
    assert b"| `accuracy` | torch |" in (model / "README.md").read_bytes()


def test_an_empty_table_is_not_printed(model: Path, run: Run) -> None:
    result = run("card", model)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"{model / 'README.md'} is written, without anything measured." in result.stderr


def test_one_model_is_one_model(model: Path, results: dict[str, Path], tmp_path: Path, succeed: Succeed) -> None:
    bench = json.loads(results["bench"].read_text())
    one = tmp_path / "one.json"
    one.write_text(json.dumps({**bench, "models": bench["models"][1:]}))
    printed = succeed("card", model, "--results", one)
    assert "1 model " in printed
    assert ", 1 thread (" in (model / "README.md").read_text()


def test_what_is_missing_is_hinted_at(model: Path, results: dict[str, Path], run: Run) -> None:
    said = run("card", model).stderr
    for words in ("this model's metric", "the base's metric", "latency", "a license"):
        assert f"Not in the card: {words}" in said
    said = run("card", model, *given(results, "dense", "small", "bench")).stderr
    assert "Not in the card: how sure the difference is; give --results of evaluate --against or bench." in said
    assert "metric" not in said
    assert not (model / "onnx").exists()


def test_a_license_that_the_owner_wrote_is_not_missed(model: Path, run: Run) -> None:
    assert (
        "Not in the card: a license; add a line such as license: mit to its front matter." in run("card", model).stderr
    )
    card = model / "README.md"
    card.write_text(card.read_text().replace("---\n", "---\nlicense: mit\n", 1))
    assert "a license" not in run("card", model).stderr


def test_json_is_one_object_of_facts(model: Path, results: dict[str, Path], succeed: Succeed) -> None:
    found = json.loads(succeed("card", model, *given(results, "small"), "--json"))
    assert found["card"] == str(model / "README.md")
    assert found["measurements"] == json.loads((model / "measurements.json").read_text())
    assert found["model"]["weights"]["sha256"] == file_sha256(model / "model.safetensors")


def test_onnx_of_these_weights_is_described_and_of_others_refused(
    model: Path, compressed_folder: Path, succeed: Succeed, run: Run
) -> None:
    succeed("onnx", model)
    succeed("card", model)
    card = (model / "README.md").read_text()
    assert "`model.onnx` (opset 17) was checked against torch at" in card
    assert "model_quantized" not in card.replace("or model_quantized.onnx, where it is", "")
    record = json.loads((model / "onnx" / "export.json").read_text())
    for changed, words in (
        ({"file_sha256": "0" * 64}, "made from other weights"),
        ({"check": 3}, "onnx/export.json: check is 3, an object is needed; run fwsvd-export onnx --overwrite"),
        ({"check": {**record["check"], "atol": "../x"}}, "check.atol is '../x', a number within"),
    ):
        (model / "onnx" / "export.json").write_text(json.dumps({**record, **changed}))
        result = run("-q", "card", model)
        assert result.exit_code == 1
        assert words in result.stderr
        assert (model / "README.md").read_text() == card


def test_the_command_is_in_the_record_without_local_folders(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    task = ["--task", "sst2", f"--data={data_file}", "--no-match"]
    succeed("compress", tiny_folder, tmp_path / "small", *task, "--rank", 5)
    expected = ["fwsvd-export", "compress", tiny_folder.name, "small", "--task", "sst2", f"--data={data_file.name}"]
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert record["command"] == [*expected, "--no-match", "--rank", "5"]
    assert f"compress {tiny_folder.name} small --task sst2" in (tmp_path / "small" / "README.md").read_text()
    assert record["base_weights"] == {"bytes": (tiny_folder / "model.safetensors").stat().st_size, "dtype": "float32"}
    assert (record["base_revision"], record["base_card"]) == (None, {})


def test_license_and_language_come_from_the_base(tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    (base / "README.md").write_text("---\nlicense: cc-by-4.0\nlanguage: en\n---\n# Base\n")
    succeed("compress", base, tmp_path / "small", "--method", "svd", "--rank", 5)
    card = (tmp_path / "small" / "README.md").read_text()
    metadata = split_front_matter(card)[1]
    assert metadata is not None
    assert (metadata["license"], metadata["language"]) == ("cc-by-4.0", "en")
    assert "English only" in card


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--repo-id", "a/b/c"], "can be no id on the Hub"),
        (["--repo-id", 'x"; import os'], "can be no id on the Hub"),
        (["--revision", "x y"], "revision 'x y': the hash of a commit"),
        (["--results", "nowhere.json"], "results file nowhere.json does not exist"),
    ],
)
def test_what_cannot_stand_in_a_card_is_refused(
    options: list[object], words: str, model: Path, refused: Refused
) -> None:
    before = {file.name: file.read_bytes() for file in model.iterdir()}
    assert words in refused("card", model, *options)
    assert {file.name: file.read_bytes() for file in model.iterdir()} == before


def test_results_of_another_model_are_refused(
    model: Path, results: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    found: dict[str, Any] = json.loads(results["small"].read_text())
    (tmp_path / "other.json").write_text(json.dumps({**found, "sha256": "0" * 64}))
    assert "measured on other weights" in refused("card", model, "--results", tmp_path / "other.json")


def test_folders_that_are_no_compressed_model_are_refused(
    model: Path, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    assert "has no compression.json" in refused("card", tiny_folder)
    assert "has no compression.json" in refused("card", tmp_path / "nowhere")
    record = json.loads((model / "compression.json").read_text())
    (model / "compression.json").write_text(json.dumps({"format": 1}))
    assert "compression.json has no base_model; take the file from a backup" in refused("card", model)
    (model / "compression.json").write_text(json.dumps(record))
    config = (model / "config.json").read_text()
    (model / "config.json").write_text("{}")
    assert "config.json has no model_type; save the model into the folder again" in refused("card", model)
    (model / "config.json").write_text(config)
    (model / "README.md").write_bytes(b"\xff")
    assert "is not UTF-8" in refused("card", model)
    (model / "model.safetensors").unlink()
    assert "has no model.safetensors" in refused("card", model)


def test_a_base_from_the_hub_is_named_with_its_commit(
    tiny_folder: Path, tmp_path: Path, succeed: Succeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    snapshot = tmp_path / "snapshots" / ("ab" * 20)
    shutil.copytree(tiny_folder, snapshot)
    (snapshot / "README.md").write_text("---\nlicense: other\nlicense_name: own\nlicense_link: LICENSE.txt\n---\n")

    def downloaded(source: str, allow_patterns: list[str]) -> str:
        asked.extend([source, *allow_patterns])
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", downloaded)
    succeed("compress", "someone/tiny", tmp_path / "small", "--method", "svd", "--rank", 5)
    assert {"someone/tiny", "README.md"} <= set(asked)
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert record["base_revision"] == "ab" * 20
    metadata = split_front_matter((tmp_path / "small" / "README.md").read_text())[1]
    assert metadata is not None
    assert (metadata["base_model"], metadata["base_model_relation"]) == ("someone/tiny", "quantized")
    assert (metadata["license"], metadata["license_name"], metadata["license_link"]) == ("other", "own", "LICENSE.txt")


def test_the_stored_type_of_the_base_is_recorded(tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    half = {name: tensor.half() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(half, base / "model.safetensors", metadata={"format": "pt"})
    succeed("compress", base, tmp_path / "small", "--method", "svd", "--rank", 5, "--dtype", "bfloat16")
    card = (tmp_path / "small" / "README.md").read_text()
    assert re.search(r"\| weights file \| \d\.\d MB \(float16\) \| \d\.\d MB \(bfloat16\) \|", card)
    assert '.from_pretrained(name, revision="main", trust_remote_code=True).float()' in card
