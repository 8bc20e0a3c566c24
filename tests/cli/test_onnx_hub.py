"""evaluate runs the onnx folder of a model's repository on the Hub: a copy of one, in a cache of the test's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from huggingface_hub.errors import EntryNotFoundError

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

MODEL = "somebody/small"
COMMIT = "0123456789" * 4


@pytest.fixture(scope="module")
def exported(compressed_folder: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compressed model with its onnx folder. Do not write into it."""
    folder = tmp_path_factory.mktemp("exported") / "small"
    shutil.copytree(compressed_folder, folder)
    assert run("onnx", folder, "--int8").exit_code == 0
    return folder


@pytest.fixture
def copy_of(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """A function that puts a folder into an empty cache as MODEL, which then is all that is ever fetched."""

    def put(folder: Path) -> Path:
        cache = tmp_path_factory.mktemp("cache")
        repository = cache / f"models--{MODEL.replace('/', '--')}"
        shutil.copytree(folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        return repository / "snapshots" / COMMIT

    return put


@pytest.fixture
def words(data_file: Path) -> Callable[[str], list[Any]]:
    """A function that gives the words of an evaluation: words(runtime)."""
    return lambda runtime: ["evaluate", MODEL, "--task", "sst2", "--data", data_file, "--runtime", runtime]


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-int8"])
def test_the_repository_is_what_runs(
    runtime: str,
    exported: Path,
    copy_of: Callable[[Path], Path],
    words: Callable[[str], list[Any]],
    succeed: Succeed,
) -> None:
    expected = json.loads(succeed("evaluate", exported, *words(runtime)[2:], "--json"))
    copy_of(exported)
    found = json.loads(succeed(*words(runtime), "--json"))
    assert (found["model"], found["runtime"]) == (MODEL, runtime)
    assert {**found, "model": 0, "seconds": 0} == {**expected, "model": 0, "seconds": 0}


def test_files_that_were_not_fetched_before_and_cannot_be_now(
    compressed_folder: Path,
    tmp_path: Path,
    copy_of: Callable[[Path], Path],
    words: Callable[[str], list[Any]],
    succeed: Succeed,
    refused: Refused,
) -> None:
    copy = copy_of(compressed_folder)
    assert refused(*words("onnxruntime")).endswith(
        f"onnx/model.onnx of {MODEL} was not fetched before, and the Hub cannot be reached; "
        f"make it with fwsvd-export onnx {MODEL} -o DIR and run it with evaluate --onnx DIR"
    )
    assert f"make it with fwsvd-export onnx {MODEL} -o DIR --int8 and" in refused(*words("onnxruntime-int8"))
    # The advice, followed
    succeed("onnx", MODEL, "-o", tmp_path)
    assert json.loads(succeed(*words("onnxruntime"), "--onnx", tmp_path, "--json"))["examples"] == 48
    assert not (copy / "onnx").exists()


def test_a_model_that_cannot_be_fetched_at_all(
    compressed_folder: Path,
    copy_of: Callable[[Path], Path],
    words: Callable[[str], list[Any]],
    refused: Refused,
) -> None:
    copy_of(compressed_folder)
    others = [word if word != MODEL else "somebody/other" for word in words("onnxruntime")]
    assert "somebody/other is no folder here and could not be fetched from the Hub" in refused(*others)


@pytest.mark.parametrize("missing", ["model.onnx", "config.json"])
def test_a_repository_without_the_file(
    missing: str,
    exported: Path,
    copy_of: Callable[[Path], Path],
    words: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    copy_of(exported)

    def answer(error: Exception) -> Callable[..., str]:
        def download(source: str, name: str, revision: str) -> str:
            assert (source, revision) == (MODEL, COMMIT)
            if name == f"onnx/{missing}":
                raise error
            return name

        return download

    monkeypatch.setattr("huggingface_hub.hf_hub_download", answer(EntryNotFoundError("404 Client Error")))
    assert refused(*words("onnxruntime")).endswith(
        f"Error: {MODEL} has no onnx/{missing} on the Hub; "
        f"make it with fwsvd-export onnx {MODEL} -o DIR and run it with evaluate --onnx DIR"
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", answer(ConnectionError("no route\nto the host")))
    sentence = refused(*words("onnxruntime"))
    assert sentence == f"Error: onnx/{missing} of {MODEL} could not be fetched from the Hub: no route to the host"


def test_a_repository_with_the_onnx_file_of_another_checkpoint(
    compressed_folder: Path,
    tiny_folder: Path,
    run: Run,
    copy_of: Callable[[Path], Path],
    words: Callable[[str], list[Any]],
    refused: Refused,
) -> None:
    copy = copy_of(compressed_folder)
    assert run("onnx", tiny_folder, "-o", copy).exit_code == 0
    sentence = refused(*words("onnxruntime"))
    assert f"was made from another checkpoint, {tiny_folder.name} with weights" in sentence
    assert sentence.endswith(f"make it again with fwsvd-export onnx {MODEL} -o DIR and run it with evaluate --onnx DIR")
