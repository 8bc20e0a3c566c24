"""OpenVINO's model in 8 bits: near the float one, padding or not, and known for whose it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import openvino
import pytest
import torch

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import DataError
from fwsvd_export.export.openvino_int8 import products_of_activations
from fwsvd_export.export.openvino_model import OpenvinoModel
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER, OPENVINO_INT8_FILE, OPENVINO_INT8_WEIGHTS
from fwsvd_export.workflows.bench import BenchRequest
from fwsvd_export.workflows.source import Source
from tests.cli.conftest import invoke

Succeed = Callable[..., str]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def written(compressed_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compressed checkpoint whose onnx/ has all files; its training rows calibrate."""
    folder = tmp_path_factory.mktemp("openvino") / "small"
    shutil.copytree(compressed_folder, folder)
    options = ["--int8", "--openvino-int8", "--task", "sst2", "--calibration", data_file, "--json"]
    done = invoke("onnx", folder, *options)
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["openvino_int8"] == {"data": data_file.name, "texts": 48}
    assert {OPENVINO_INT8_FILE, OPENVINO_INT8_WEIGHTS} < set(record["files"])
    assert {"openvino", "nncf"} <= set(record["versions"])
    return folder


def test_it_is_near_the_float_model_padded_or_not(written: Path) -> None:
    place = written / ONNX_FOLDER
    exact, int8 = OnnxModel(place, ONNX_FILE, 1), OpenvinoModel(place, OPENVINO_INT8_FILE, "int8", 1)
    ids = torch.randint(5, 25, (4, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(ids, (0, 20))
    mask = (padded != 0).long()
    expected = exact(input_ids=ids).logits
    alone, among = int8(input_ids=ids).logits, int8(input_ids=padded, attention_mask=mask).logits
    assert float((alone - expected).abs().max()) < 0.25 * float(expected.abs().max()) + 0.1
    torch.testing.assert_close(among, alone, rtol=0, atol=0.05)  # bfloat16 where the processor has it


def test_products_of_two_activations_stay_as_they_are(written: Path) -> None:
    core = openvino.Core()
    found = products_of_activations(core.read_model(written / ONNX_FOLDER / ONNX_FILE))
    assert len(found) == 4, "scores and contexts of two layers"
    assert all("attention" in name for name in found)
    model = core.read_model(written / ONNX_FOLDER / OPENVINO_INT8_FILE)
    products = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "MatMul"}
    quantised = {
        name
        for name, node in products.items()
        if node.input(0).get_source_output().get_node().get_type_name() == "FakeQuantize"
    }
    assert quantised
    assert not quantised & set(found)


def test_evaluate_and_bench_run_it(
    written: Path, tiny_folder: Path, data_file: Path, succeed: Succeed, refused: Refused
) -> None:
    data = ["--task", "sst2", "--data", data_file]
    answer = json.loads(succeed("evaluate", written, *data, "--runtime", "openvino-int8", "--json"))
    assert answer["runtime"] == "openvino-int8"
    assert 0 <= answer["value"] <= 1
    speed = ["--threads", 1, "--rounds", 1, "--batch-sizes", 1, "--lengths", 4]
    words = ["--runtime", "onnxruntime,openvino-int8", *speed, *data, "--calibration", data_file, "--json"]
    dense, small = json.loads(succeed("bench", tiny_folder, written, *words))["models"]
    for model in (dense, small):
        assert {timing["runtime"] for timing in model["latency"]} == {"onnxruntime", "openvino-int8"}
    assert small["runtimes"]["openvino-int8"]["value"] == answer["value"]
    files = [written / ONNX_FOLDER / name for name in (OPENVINO_INT8_FILE, OPENVINO_INT8_WEIGHTS)]
    sizes = [file.stat().st_size for file in files]
    assert small["runtimes"]["openvino-int8"]["file_bytes"] == pytest.approx(sum(sizes), rel=0.01)
    assert sizes[1] < small["runtimes"]["onnxruntime"]["file_bytes"]


def test_a_folder_with_it_can_be_pushed_and_a_changed_one_cannot(
    written: Path, tmp_path: Path, succeed: Succeed
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(written, folder)
    succeed("card", folder)
    succeed("push", folder, "someone/small", "--dry-run")
    weights = folder / ONNX_FOLDER / OPENVINO_INT8_WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    answer = invoke("push", folder, "someone/small", "--dry-run")
    assert answer.exit_code == 1
    assert f"{ONNX_FOLDER}/{OPENVINO_INT8_WEIGHTS}: is not the file that export.json describes" in answer.output


def test_a_file_of_another_checkpoint_is_refused(
    written: Path, tiny_folder: Path, data_file: Path, refused: Refused
) -> None:
    words = ["--task", "sst2", "--data", data_file, "--runtime", "openvino-int8", "--onnx", written]
    sentence = refused("evaluate", tiny_folder, *words)
    assert f"{OPENVINO_INT8_FILE} was made from another checkpoint, small with weights" in sentence
    assert "--openvino-int8 --task TASK --calibration FILE" in sentence


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (
            "onnx",
            ["--openvino-int8"],
            "--openvino-int8 takes the ranges of activations from text of the task: give --task and --calibration FILE",
        ),
        (
            "bench",
            ["--runtime", "openvino-int8"],
            "--runtime openvino-int8 takes the ranges of activations from text of the task: give --task and "
            "--calibration FILE",
        ),
        (
            "onnx",
            ["--calibration", "{data}"],
            "--calibration is for openvino-int8, which is not asked for; leave it out",
        ),
        ("onnx", ["--openvino-int8", "--calibration", "{data}"], "--task"),
    ],
)
def test_ranges_need_text_and_text_needs_a_use(
    command: str, options: list[str], words: str, tiny_folder: Path, data_file: Path, refused: Refused
) -> None:
    given = [option.format(data=data_file) for option in options]
    assert words in refused(command, tiny_folder, *given, code=2)


def test_a_graph_that_cannot_be_quantised_is_named(
    compressed_folder: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("no such product")

    monkeypatch.setattr("nncf.quantize", fail)
    words = ["--openvino-int8", "--task", "sst2", "--calibration", data_file, "-o", tmp_path / "out"]
    sentence = refused("onnx", compressed_folder, *words)
    assert "NNCF cannot quantise model.onnx (no such product); leave --openvino-int8 out" in sentence
    assert not (tmp_path / "out").exists()


def test_text_to_calibrate_on_is_for_models_that_are_exported_anew(tiny_folder: Path, data_file: Path) -> None:
    text = DataRequest(task_named("sst2"), file=data_file)
    sentence = "--calibration is for openvino-int8 of models that are exported anew; leave --calibration out"
    for changes in ({"exported": True}, {"runtimes": ("torch",)}):
        given = {"runtimes": ("openvino-int8",), **changes}
        with pytest.raises(DataError, match=f"^{sentence}$"):
            BenchRequest((Source(str(tiny_folder)),), calibration=text, **given)  # type: ignore[arg-type]


def test_it_lacks_what_onnx_did_not_write(compressed_folder: Path, data_file: Path, refused: Refused) -> None:
    words = ["--task", "sst2", "--data", data_file, "--runtime", "openvino-int8"]
    assert f"has no onnx/{OPENVINO_INT8_FILE}; make it with fwsvd-export onnx" in refused(
        "evaluate", compressed_folder, *words
    )
