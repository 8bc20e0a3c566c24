"""The scripts about int8; a program that runs everything on this processor takes the emulator's place."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source

SCRIPTS = Path(__file__).parents[1] / "scripts"
PRETENDER = '#!/bin/sh\nif [ "$1" = --version ]; then echo pretender 1.0; else shift 2; exec "$@"; fi\n'


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two-class model with onnx/, all its products in 8 bits."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    shutil.copytree(tiny_folder, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fwsvd_export.export.quantize.SMALLEST_PRODUCT", 0)
        run_onnx(OnnxRequest(Source(str(folder), device="cpu"), int8=True))
    return folder


@pytest.fixture
def pretender(tmp_path: Path) -> Path:
    file = tmp_path / "pretender"
    file.write_text(PRETENDER)
    file.chmod(0o755)
    return file


def said_by(script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> Any:
    """The JSON object that a script prints last."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    importlib.import_module(script).main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_file_runs_on_every_machine_and_is_compared_with_the_exact_one(
    model: Path,
    data_file: Path,
    pretender: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [model, "--task", "sst2", "--data", data_file, "--rows", 20, "--emulator", pretender, "--cpu", "A,B"]
    words += ["--float"]
    said = said_by("emulate_int8", capsys, monkeypatch, *words)
    assert (said["emulator"], said["task"], said["data"]) == ("pretender 1.0", "sst2", data_file.name)
    (found,) = said["models"]
    assert (found["examples"], found["saturation"]["safe"]) == (20, True)
    rows = {(row["file"], row["machine"]): row for row in found["measured"]}
    files, machines = ("float", "int8", "int8, plain scales"), ("exact", "here", "A", "B")
    assert rows.keys() == {(file, machine) for file in files for machine in machines}
    for (file, machine), row in rows.items():
        assert {"value", "difference", "standard_error", "largest_output_difference"} < row.keys()
        if file != files[2] or machine == "exact":  # plain scales differ where the processor cuts sums off
            assert row["largest_output_difference"] < 1e-5
            assert (row["difference"], row["standard_error"]) == (0, 0)


def test_a_machine_that_fails_says_why(tmp_path: Path) -> None:
    machine = importlib.import_module("emulate_int8").Machine("here")
    with pytest.raises(SystemExit) as caught:
        machine.run(tmp_path / "model.onnx", tmp_path / "inputs.npz")
    assert str(caught.value.code).startswith("model.onnx cannot be run on here:\nTraceback")
    assert "File doesn't exist" in str(caught.value.code)


def test_without_the_emulator_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    emulate = importlib.import_module("emulate_int8")
    words = ["emulate_int8", "model", "--task", "sst2", "--data", "x.jsonl", "--emulator", "no-such-emulator"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as caught:
        emulate.main()
    assert str(caught.value.code).startswith("no-such-emulator is not installed; install it (Debian, Ubuntu: apt-get")
    assert str(caught.value.code).endswith("install qemu-user-static), or name another with --emulator")


def test_bytes_precision_and_latency_stand_side_by_side(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_by("bench_int8", capsys, monkeypatch, model, "--rounds", 1, "--threads", 1, "--lengths", "4,8")
    (found,) = said["models"]
    sizes = found["bytes"]
    assert sizes["int8"] == sizes["int8, plain scales"] < sizes["float"]
    smallest, median, largest = found["relative_error"]["ratio"]
    assert 0.99 < smallest <= median <= largest < 2
    assert [(row["batch_size"], row["length"]) for row in found["latency"]] == [(1, 4), (1, 8), (8, 4), (8, 8)]
    assert all(row["int8 against plain scales"] > 0 for row in found["latency"])


def test_a_model_without_an_int8_file_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        importlib.import_module("int8_files").read_files(str(tiny_folder), tmp_path)
    expected = f"has no onnx/model_quantized.onnx; make it with fwsvd-export onnx {tiny_folder} --int8"
    assert caught.value.code == f"{tiny_folder} {expected}"
