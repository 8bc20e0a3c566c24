"""fwsvd-export onnx, and evaluate with the runtimes that run what it wrote."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from click.testing import Result

from fwsvd_export import compress
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.storage.digest import file_sha256
from tests.helpers import HEADS

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
TOKENIZER = {"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}


@pytest.fixture
def model(compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compressed checkpoint that may be written into."""
    folder = tmp_path_factory.mktemp("model") / "small"
    shutil.copytree(compressed_folder, folder)
    return folder


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "onnx" / "export.json").read_text())
    return record


def answers_of(file: Path, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a plain session says, by output name."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    arrays = session.run(names, {name: tensor.numpy() for name, tensor in inputs.items()})
    return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("factors", [False, True], ids=["dense", "compressed"])
def test_every_head_answers_as_torch_does(
    factors: bool,
    head: str,
    make_head: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, torch.Tensor]],
    tiny_folder: Path,
    tmp_path: Path,
    succeed: Succeed,
) -> None:
    model = make_head(head)
    model = compress(model, method="svd", rank=5) if factors else model
    model.save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_folder / file, tmp_path / file)
    succeed("onnx", tmp_path)
    encoder, inputs = encoder_of(model), head_inputs(head)
    if "token_type_ids" in encoder.inputs:
        inputs["token_type_ids"] = torch.arange(9).expand_as(inputs["input_ids"]).remainder(2).contiguous()
    assert inputs.keys() == set(encoder.inputs)
    found = answers_of(tmp_path / "onnx" / "model.onnx", inputs)
    assert list(found) == list(encoder.outputs)
    with torch.no_grad():
        expected = model(**inputs)
    present = inputs["attention_mask"].bool()
    for name, tensor in found.items():
        wanted = getattr(expected, name)
        if not encoder.defines_padding and "sequence_length" in encoder.outputs[name].values():
            tensor, wanted = tensor[present], wanted[present]
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=1e-4)
    config = json.loads((tmp_path / "onnx" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == (encoder.family.model_type, [head])
    assert not {"auto_map", "low_rank"} & config.keys()
    check = record_of(tmp_path)["check"]
    assert check["within"]
    shapes = {(row["batch_size"], row["length"], row["padded"]) for row in check["shapes"]}
    assert shapes == {(1, 1, False), (8, 1, False)} | {
        (batch, length, padded) for batch in (1, 8) for length in (7, encoder.usable_length) for padded in (False, True)
    }


def test_the_folder_lies_in_the_model_and_says_what_it_is(model: Path, succeed: Succeed) -> None:
    before = {file.name: file_sha256(file) for file in model.iterdir()}
    said = succeed("onnx", model)
    assert {file.name: file_sha256(file) for file in model.iterdir() if file.is_file()} == before
    folder = model / "onnx"
    assert {file.name for file in folder.iterdir()} >= {"model.onnx", "config.json", "export.json", "tokenizer.json"}
    assert {file.name for file in folder.iterdir()} <= {"model.onnx", "config.json", "export.json", *TOKENIZER}
    for name in TOKENIZER & before.keys():
        assert file_sha256(folder / name) == before[name]
    record = record_of(model)
    assert (record["format"], record["model"], record["opset"], record["int8"]) == (1, "small", 17, None)
    assert record["file_sha256"] == file_sha256(model / "model.safetensors")
    assert record["check"]["atol"] == 1e-4
    assert 0 < record["check"]["worst"]["max_difference"] <= 1e-4
    assert record["check"]["worst"] in record["check"]["shapes"]
    file = folder / "model.onnx"
    assert record["files"] == {"model.onnx": {"bytes": file.stat().st_size, "sha256": file_sha256(file)}}
    assert {"load", "trace", "check"} == record["seconds"].keys()
    assert {"onnx", "onnxruntime", "torch", "transformers"} < record["versions"].keys()
    assert "of 0.0001 allowed, 10 shapes" in said
    metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert metadata["fwsvd_export.file_sha256"] == record["file_sha256"]
    assert metadata["fwsvd_export.weights_sha256"] == record["weights_sha256"]


def test_json_is_the_record_with_the_place(model: Path, tmp_path: Path, succeed: Succeed) -> None:
    for out in (tmp_path, tmp_path / "new"):  # a folder that exists, and one that does not
        said = json.loads(succeed("onnx", model, "-o", out, "--opset", 18, "--json"))
        assert said == {"output": str(out / "onnx"), **record_of(out)}
        assert said["opset"] == 18
    assert not (model / "onnx").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_outside_atol_ends_with_three_and_names_the_worst_shape(as_json: bool, model: Path, run: Run) -> None:
    result = run("onnx", model, "--atol", 1e-12, *(["--json"] if as_json else []))
    assert result.exit_code == 3, result.output
    record = record_of(model)
    worst = record["check"]["worst"]
    assert not record["check"]["within"]
    assert worst["max_difference"] == max(row["max_difference"] for row in record["check"]["shapes"])
    padded = "padded" if worst["padded"] else "not padded"
    assert f"at batch {worst['batch_size']}, length {worst['length']}, {padded} an output differs by" in result.stderr
    assert "--atol allows 1e-12" in result.stderr
    assert (model / "onnx" / "model.onnx").is_file()
    if as_json:
        assert json.loads(result.stdout) == {"output": str(model / "onnx"), **record}


def test_an_existing_folder_is_replaced_only_when_asked(model: Path, run: Run, succeed: Succeed) -> None:
    (model / "onnx").mkdir()  # an empty one does not count
    succeed("onnx", model)
    (model / "onnx" / "old.txt").write_text("old")
    result = run("onnx", model)
    assert result.exit_code == 1
    assert "onnx exists already; choose another name or give --overwrite" in result.stderr
    assert (model / "onnx" / "old.txt").exists()
    succeed("onnx", model, "--overwrite")
    assert not (model / "onnx" / "old.txt").exists()
    assert (model / "onnx" / "model.onnx").exists()


def test_int8_without_data_reports_sizes_and_differences(model: Path, succeed: Succeed) -> None:
    said = succeed("onnx", model, "--int8")
    record = record_of(model)
    files = record["files"]
    assert files.keys() == {"model.onnx", "model_quantized.onnx"}
    assert record["int8"].keys() == {"max_difference", "saturation"}
    assert record["check"]["worst"]["max_difference"] < 1e-4 < record["int8"]["max_difference"] < 1
    assert "largest difference, int8" in said
    assert "accuracy" not in said
    metadata = [onnx.load(model / "onnx" / name).metadata_props for name in files]
    identities = [{(entry.key, entry.value) for entry in entries if "fwsvd" in entry.key} for entries in metadata]
    assert identities[0] == identities[1]
    assert len(identities[0]) == 5


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--opset", 16], 2, "'16': one of 17, 18, 19, 20"),
        (["--opset", 21], 2, "'21': one of 17, 18, 19, 20"),
        (["--atol", -1], 1, "atol -1: a number of at least 0 is allowed"),
        (["--atol", "nan"], 1, "atol nan: a number of at least 0 is allowed"),
        (["--atol", "near"], 2, "'near'"),
        (["--int8", "DATA", "--max-drop", -1], 1, "max-drop -1: a number of at least 0 is allowed"),
        (["--int8", "DATA", "--max-drop", 0.1, "--confidence", 1], 1, "confidence 1: a number above 0.5 and below 1"),
        (["--int8", "DATA", "--confidence", 0.9], 2, "--confidence is for --max-drop, which is not given"),
        (["--int8", "--max-drop", 0.1], 2, "--max-drop needs --int8 and data"),
        (["--max-drop", 0.1], 2, "--max-drop needs --int8 and data"),
        (["DATA"], 2, "task data measures the int8 model; give --int8 with it"),
        (["--int8", "DATA", "--label-column", "nowhere"], 1, "has no column 'nowhere'"),
        (["--int8", "DATA", "--task", "text", "--text-column", "sentence"], 1, "task text has no labels"),
        (["--int8", "DATA", "--task", "ner"], 1, "does not predict that; choose one of sst2"),
        (["-o", "NOWHERE"], 1, "does not exist; create it first"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: list[Any], code: int, sentence: str, tiny_folder: Path, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    data = ["--task", "sst2", "--data", data_file]
    given = [part for word in words for part in (data if word == "DATA" else [word])]
    place = [tmp_path / "no" / "where"] if "NOWHERE" in given else [tmp_path]
    given = [word for word in given if word not in ("-o", "NOWHERE")]
    assert sentence in refused("onnx", tiny_folder, "-o", *place, *given, code=code)


def test_data_for_another_kind_of_head_is_refused(
    make_head: Callable[..., Any], tiny_folder: Path, data_file: Path, tmp_path_factory: Any, refused: Refused
) -> None:
    folder = tmp_path_factory.mktemp("encoder")
    make_head("BertModel").save_pretrained(folder)
    shutil.copyfile(tiny_folder / "tokenizer.json", folder / "tokenizer.json")
    data = ["--task", "sst2", "--data", data_file]
    for command in (["onnx", folder, "--int8", *data], ["evaluate", folder, *data]):
        assert "this model (BertModel) does not predict that; choose one of sts" in refused(*command)
    assert not (folder / "onnx").exists()


def test_a_model_on_the_hub_needs_a_folder_to_write_to(refused: Refused) -> None:
    sentence = refused("onnx", "somebody/something")
    assert "somebody/something is not a folder" in sentence
    assert "for a model on the Hub say with -o DIR where to write" in sentence


def test_an_unknown_head_is_refused(changed_model: Callable[..., Path], refused: Refused) -> None:
    assert "BertLMHeadModel is not supported" in refused("onnx", changed_model(architectures=["BertLMHeadModel"]))


def test_evaluate_refuses_what_it_cannot_run(
    tiny_folder: Path, model: Path, data_file: Path, tmp_path: Path, succeed: Succeed, run: Run, refused: Refused
) -> None:
    data = ["--task", "sst2", "--data", data_file]
    runtime = ["--runtime", "onnxruntime"]
    sentence = f"{model} has no onnx/model.onnx; make it with fwsvd-export onnx {model}"
    assert refused("evaluate", model, *data, *runtime).endswith(sentence)
    succeed("onnx", model)
    advice = f"make it with fwsvd-export onnx {model} --int8 --overwrite"
    assert refused("evaluate", model, *data, "--runtime", "onnxruntime-int8").endswith(advice)
    words = [*data, *runtime, "--onnx", model]
    assert "was made from another checkpoint, small" in refused("evaluate", tiny_folder, *words)
    assert "cuda: ONNX models are run on the CPU" in refused("evaluate", model, *data, *runtime, "--device", "cuda")
    assert "--onnx is for --runtime" in refused("evaluate", model, *data, "--onnx", tmp_path, code=2)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_extra_the_line_that_installs_it_is_named(
    library: str, tiny_folder: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    expected = f'Error: this needs {library}, which is not installed: pip install "fwsvd-export[onnx]"'
    assert refused("onnx", tiny_folder, "-o", tmp_path) == expected
    words = ["--task", "sst2", "--data", data_file, "--runtime", "onnxruntime"]
    assert refused("evaluate", tiny_folder, *words) == expected


def assert_full(result: Result, model: Path) -> None:
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: no space left while writing {model / 'onnx'}; nothing was kept")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", [1_000, 40_000])  # bytes: less than the tokenizer, less than the model
def test_a_full_disk_is_reported_and_leaves_nothing(limit: int, model: Path, run: Run) -> None:
    before = sorted(model.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        result = run("-q", "onnx", model, "--int8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_full(result, model)
    assert sorted(model.rglob("*")) == before


def fill(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["differences", "write_int8", "write_json"])
def test_what_stops_half_way_keeps_the_old_folder(
    step: str, model: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    (model / "onnx").mkdir()
    (model / "onnx" / "old.txt").write_text("old")
    before = sorted(model.rglob("*"))
    for stop, code in ((fill, 1), (interrupt, 130)):
        monkeypatch.setattr(f"fwsvd_export.workflows.export.{step}", stop)
        result = run("-q", "onnx", model, "--int8", "--overwrite")
        assert result.exit_code == code
        if stop is fill:
            assert_full(result, model)
        assert sorted(model.rglob("*")) == before
