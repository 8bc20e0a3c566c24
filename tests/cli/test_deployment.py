"""compress --max-drop --for: what is deployed is searched, measured and written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export.workflows.deployment import SHARES

Succeed = Callable[..., str]
Refused = Callable[..., str]
Run = Callable[..., Result]


@pytest.fixture
def rows(make_sentences: Callable[..., list[str]], write_rows: Callable[[list[dict[str, Any]]], Path]) -> Path:
    return write_rows([{"sentence": text, "label": index % 2} for index, text in enumerate(make_sentences(160))])


def search(rows: Path, *words: object) -> list[object]:
    return ["--task", "sst2", "--data", rows, "--max-samples", 48, "--max-drop", 0.3, *words]


def test_the_smallest_file_within_the_target_is_written_with_its_trials(
    tiny_folder: Path, rows: Path, tmp_path: Path, succeed: Succeed
) -> None:
    small = tmp_path / "small"
    record = json.loads(succeed("compress", tiny_folder, small, *search(rows, "--for", "size"), "--json"))
    gate = record["gate"]
    chosen = gate["trials"][gate["chosen"]]
    assert (gate["goal"], gate["kept"], chosen["kept"]) == ("size", True, True)
    met = [trial["deployment"]["file_bytes"] for trial in gate["trials"] if trial["kept"]]
    assert chosen["deployment"]["file_bytes"] == min(met)
    assert len(gate["trials"]) <= 20
    assert {trial["deployment"]["embeddings"] for trial in gate["trials"]} & set(SHARES[1:])
    assert {trial["deployment"]["widths"] for trial in gate["trials"]} == {"auto", "keep"}

    tried = chosen["deployment"]
    file = small / "onnx" / {"onnxruntime": "model.onnx", "onnxruntime-int8": "model_quantized.onnx"}[tried["runtime"]]
    assert file.stat().st_size == tried["file_bytes"]
    assert record["parameters"]["ratio"] <= chosen["ratio"]
    assert (record["embeddings"]["rank"] is None) == (tried["embeddings"] == 1)
    assert (record["asked"]["widths"], record["asked"]["embeddings"]) == (tried["widths"], None)
    again = json.loads(
        succeed("evaluate", small, "--task", "sst2", "--data", rows, "--runtime", tried["runtime"], "--json")
    )
    assert again["examples"] == 160
    exported = json.loads((small / "onnx" / "export.json").read_text())
    assert exported["check"]["within"]


def test_what_was_measured_is_what_the_written_files_say(
    tiny_folder: Path,
    data_file: Path,
    make_sentences: Callable[..., list[str]],
    write_rows: Callable[[list[dict[str, Any]]], Path],
    tmp_path: Path,
    succeed: Succeed,
) -> None:
    calibrated_on = {json.loads(line)["sentence"] for line in data_file.read_text().splitlines()}
    texts = [text for text in make_sentences(120, seed=7) if text not in calibrated_on]
    others = write_rows([{"sentence": text, "label": index % 2} for index, text in enumerate(texts)])
    small, data = tmp_path / "small", ["--task", "sst2", "--data", data_file, "--validation", others]
    words = ["--max-drop", 0.3, "--for", "latency", "--method", "svd", "--runtime", "onnxruntime"]
    gate = json.loads(succeed("compress", tiny_folder, small, *data, *words, "--json"))["gate"]
    chosen = gate["trials"][gate["chosen"]]
    assert {trial["deployment"]["runtime"] for trial in gate["trials"]} == {"onnxruntime"}
    assert {trial["deployment"]["embeddings"] for trial in gate["trials"]} == {1}, "words are looked up, in no time"
    again = json.loads(
        succeed("evaluate", small, "--task", "sst2", "--data", others, "--runtime", "onnxruntime", "--json")
    )
    assert (again["examples"], again["value"]) == (gate["validation_examples"], chosen["value"])
    assert not (small / "onnx" / "model_quantized.onnx").exists()


def test_the_table_says_what_is_in_the_folder(tiny_folder: Path, rows: Path, tmp_path: Path, succeed: Succeed) -> None:
    words = search(rows, "--for", "size", "--method", "svd", "--embeddings", 0.5, "--runtime", "onnxruntime-int8")
    out = succeed("compress", tiny_folder, tmp_path / "small", *words)
    assert "tried for size" in out
    assert out.count("in the folder") == 1
    assert "of the exported model under `onnxruntime-int8`: met" in (tmp_path / "small" / "README.md").read_text()
    succeed("report", tmp_path / "small", "-o", tmp_path / "report.html")
    assert "onnxruntime-int8, words 50" in (tmp_path / "report.html").read_text()
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert {trial["deployment"]["embeddings"] for trial in record["gate"]["trials"]} == {0.5}, "as it was asked for"


def test_openvinos_runtimes_are_searched_like_others(
    tiny_folder: Path, rows: Path, tmp_path: Path, succeed: Succeed
) -> None:
    words = search(rows, "--for", "size", "--method", "svd", "--embeddings", 1, "--min-rank", 12)
    small = tmp_path / "small"
    text = succeed("compress", tiny_folder, small, *words, "--runtime", "openvino-int8,openvino", "--json")
    gate = json.loads(text)["gate"]
    assert {trial["deployment"]["runtime"] for trial in gate["trials"]} == {"openvino-int8", "openvino"}
    chosen = gate["trials"][gate["chosen"]]["deployment"]  # of a model this small 8 bits are no smaller
    names = {"openvino": ["model.onnx"], "openvino-int8": ["openvino_model.xml", "openvino_model.bin"]}
    size = sum((small / "onnx" / name).stat().st_size for name in names[chosen["runtime"]])
    assert size == pytest.approx(chosen["file_bytes"], rel=0.02)


def test_a_target_that_nothing_meets_ends_with_code_3_and_says_so(
    tiny_folder: Path, rows: Path, tmp_path: Path, run: Run
) -> None:
    words = ["--task", "sst2", "--data", rows, "--max-samples", 48, "--max-drop", 0, "--for", "latency"]
    result = run("compress", tiny_folder, tmp_path / "small", *words, "--method", "svd", "--min-rank", 12)
    assert result.exit_code == 3
    assert "The accuracy target is missed: at ratio 1 under onnxruntime" in " ".join(result.stderr.split())
    gate = json.loads((tmp_path / "small" / "compression.json").read_text())["gate"]
    assert not gate["kept"]
    assert not any(trial["kept"] for trial in gate["trials"])
    assert (tmp_path / "small" / "onnx" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--ratio", 0.5, "--for", "size"],
            "--for size makes small what an accuracy target allows; give --max-drop too",
        ),
        (["--max-drop", 0.1, "--runtime", "onnxruntime"], "--runtime is for --for, which searches what to deploy"),
        (["--max-drop", 0.1, "--for", "speed"], "'--for': 'speed': one of size, latency is allowed"),
        (["--max-drop", 0.1, "--for", "size", "--runtime", "torch"], "'torch': one of onnxruntime, "),
    ],
)
def test_wrong_usage_is_refused_with_the_way_out(
    words: list[object], sentence: str, tiny_folder: Path, rows: Path, tmp_path: Path, refused: Refused
) -> None:
    assert sentence in refused(
        "compress", tiny_folder, tmp_path / "out", "--task", "sst2", "--data", rows, *words, code=2
    )


def test_openvinos_model_in_8_bits_needs_text(tiny_folder: Path, rows: Path, tmp_path: Path, refused: Refused) -> None:
    words = ["--method", "svd", "--task", "sst2", "--validation", rows, "--max-drop", 0.1, "--for", "size"]
    sentence = refused("compress", tiny_folder, tmp_path / "out", *words, "--runtime", "openvino-int8")
    assert sentence == "Error: openvino-int8 takes the ranges of activations from text of the task: give --data"


def test_a_runtime_that_this_processor_lacks_is_refused_before_the_work(
    tiny_folder: Path, rows: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openvino import Core

    monkeypatch.setattr(Core, "get_property", lambda *_: ["FP32"])
    words = [*search(rows, "--for", "latency"), "--runtime", "openvino-bf16"]
    assert "bfloat16" in refused("compress", tiny_folder, tmp_path / "out", *words)
