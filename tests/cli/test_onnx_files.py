"""onnx and evaluate on folders and files that are not as they should be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
from click.testing import Result

Run = Callable[..., Result]
Refused = Callable[..., str]


@pytest.fixture
def bare_model(changed_model: Callable[..., Path]) -> Path:
    """The two-class model without its tokenizer."""
    model = changed_model()
    for file in model.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            file.unlink()
    return model


@pytest.fixture(scope="module")
def exported(compressed_folder: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with onnx/ of the compressed model. Do not write into it."""
    place = tmp_path_factory.mktemp("exported")
    assert run("onnx", compressed_folder, "-o", place, "--int8").exit_code == 0
    return place


def test_a_model_without_tokenizer_is_exported_and_that_is_said(bare_model: Path, run: Run) -> None:
    result = run("onnx", bare_model)
    assert result.exit_code == 0, result.output
    assert "The model has no tokenizer, so onnx/ has none either" in result.stderr
    assert {file.name for file in (bare_model / "onnx").iterdir()} == {"config.json", "export.json", "model.onnx"}


def test_nothing_is_said_of_a_tokenizer_that_is_there(compressed_folder: Path, tmp_path: Path, run: Run) -> None:
    assert "no tokenizer" not in run("onnx", compressed_folder, "-o", tmp_path).stderr


def test_a_tokenizer_is_needed_where_text_is_read(bare_model: Path, data_file: Path, refused: Refused) -> None:
    data = ["--task", "sst2", "--data", data_file]
    for command in (["onnx", bare_model, "--int8", *data], ["evaluate", bare_model, *data]):
        assert "no tokenizer with a vocabulary; save the tokenizer into the same folder" in refused(*command)
    assert not (bare_model / "onnx").exists()


def test_a_tokenizer_that_cannot_be_read(bare_model: Path, refused: Refused) -> None:
    (bare_model / "tokenizer.json").write_text("{")
    assert "the tokenizer of model cannot be read" in refused("onnx", bare_model)
    assert not (bare_model / "onnx").exists()


@pytest.mark.parametrize("name", ["model.onnx", "model_quantized.onnx"])
def test_files_that_cannot_be_run(
    name: str,
    exported: Path,
    compressed_folder: Path,
    data_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    refused: Refused,
) -> None:
    place = tmp_path_factory.mktemp("place")
    shutil.copytree(exported / "onnx", place / "onnx")
    file = place / "onnx" / name
    whole, graph = file.read_bytes(), onnx.load(file)
    runtime = "onnxruntime" if name == "model.onnx" else "onnxruntime-int8"
    words = [
        "evaluate",
        compressed_folder,
        "--task",
        "sst2",
        "--data",
        data_file,
        "--runtime",
        runtime,
        "--onnx",
        place,
    ]
    for part in (0.0, 0.01, 0.5, 0.999):
        file.write_bytes(whole[: int(part * len(whole))])
        sentence = refused(*words)
        assert f"{file} cannot be read (" in sentence
        assert "export again with fwsvd-export onnx" in sentence
    version = f"{file} is newer than onnxruntime {onnxruntime.__version__} can read"
    written, graph.ir_version = graph.ir_version, 99
    onnx.save(graph, file)
    assert f"{version} (model IR version: 99); update onnxruntime, or export again" in refused(*words)
    graph.ir_version, graph.opset_import[0].version = written, 99
    onnx.save(graph, file)
    assert f"{version} (Opset 99); update onnxruntime, or export again" in refused(*words)
    file.write_bytes(whole)
    (place / "onnx" / "config.json").unlink()
    assert f"{file} cannot be read (" in refused(*words)


def test_onnxruntime_says_nothing_on_stdout(exported: Path, compressed_folder: Path, data_file: Path, run: Run) -> None:
    file = exported / "onnx" / "model.onnx"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole.replace(b"Softmax", b"S\xf3ftmax"))
        words = ["--task", "sst2", "--data", data_file, "--runtime", "onnxruntime", "--onnx", exported]
        result = run("evaluate", compressed_folder, *words)
    finally:
        file.write_bytes(whole)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file} cannot be read ('utf-8' codec" in result.stderr
