"""The scripts about int8; a program that runs everything on this processor takes the emulator's place."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
PRETENDER = '#!/bin/sh\nif [ "$1" = --version ]; then echo pretender 1.0; else shift 2; exec "$@"; fi\n'


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def pretender(tmp_path: Path) -> Path:
    file = tmp_path / "pretender"
    file.write_text(PRETENDER)
    file.chmod(0o755)
    return file


def said_by(script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> Any:
    """The JSON object that a script prints last, with all products of small models in 8 bits."""
    monkeypatch.setattr("fwsvd_export.export.quantize.SMALLEST_PRODUCT", 0)
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    importlib.import_module(script).main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_file_runs_on_every_machine_and_is_compared_with_the_exact_one(
    tiny_folder: Path,
    data_file: Path,
    pretender: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [tiny_folder, "--task", "sst2", "--data", data_file, "--rows", 20, "--emulator", pretender, "--cpu", "A,B"]
    said = said_by("emulate_int8", capsys, monkeypatch, *words)
    assert (said["emulator"], said["task"], said["data"]) == ("pretender 1.0", "sst2", data_file.name)
    (model,) = said["models"]
    assert (model["examples"], model["saturation"]["safe"]) == (20, True)
    rows = {(row["file"], row["machine"]): row for row in model["measured"]}
    files, machines = ("float", "int8", "int8, plain scales"), ("exact", "here", "A", "B")
    assert rows.keys() == {(file, machine) for file in files for machine in machines}
    for (file, machine), row in rows.items():
        assert {"value", "difference", "standard_error", "largest_output_difference"} < row.keys()
        if file != files[2] or machine == "exact":  # plain scales differ where the processor cuts sums off
            assert row["largest_output_difference"] < 1e-5
            assert (row["difference"], row["standard_error"]) == (0, 0)


def test_without_the_emulator_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    emulate = importlib.import_module("emulate_int8")
    words = ["emulate_int8", "model", "--task", "sst2", "--data", "x.jsonl", "--emulator", "no-such-emulator"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as caught:
        emulate.main()
    assert str(caught.value.code).startswith("no-such-emulator is not installed; install it (Debian, Ubuntu: apt-get")
    assert str(caught.value.code).endswith("install qemu-user-static), or name another with --emulator")


def test_bytes_precision_and_latency_stand_side_by_side(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_by("bench_int8", capsys, monkeypatch, tiny_folder, "--rounds", 1, "--threads", 1, "--lengths", "4,8")
    (model,) = said["models"]
    sizes = model["bytes"]
    assert sizes["int8"] == sizes["int8, plain scales"] < sizes["float"]
    smallest, median, largest = model["relative_error"]["ratio"]
    assert 0.99 < smallest <= median <= largest < 2
    assert [(row["batch_size"], row["length"]) for row in model["latency"]] == [(1, 4), (1, 8), (8, 4), (8, 8)]
    assert all(row["int8 against plain scales"] > 0 for row in model["latency"])
