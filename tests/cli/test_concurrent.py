"""Two runs with one output: the later one fails, or replaces the other's; neither result is lost without a word."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

# Command, and the function that is called while its output is being written
OUTPUTS = {
    "compress": (["MODEL", "OUT", "--method", "svd", "--rank", 4], "fwsvd_export.workflows.write.write_card"),
    "densify": (["SMALL", "OUT"], "fwsvd_export.workflows.write.write_card"),
    "fisher": (["MODEL", "-o", "OUT", "--task", "sst2", "--data", "DATA"], "safetensors.torch.save_file"),
    "onnx": (["SMALL", "-o", "OUT"], "fwsvd_export.workflows.export.differences"),
    "onnx into a folder": (["SMALL", "-o", "THERE"], "fwsvd_export.workflows.export.differences"),
    "bench": (
        ["MODEL", "SMALL", "-o", "OUT", "--runtime", "torch", "--batch-sizes", 1, "--lengths", 8, "--rounds", 1],
        "fwsvd_export.report.bench.draw_latencies",
    ),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("command", OUTPUTS)
def test_the_run_that_is_done_last(
    command: str,
    overwrite: bool,
    tiny_folder: Path,
    compressed_folder: Path,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    words, target = OUTPUTS[command]
    there = tmp_path / "there"
    there.mkdir()
    (there / "notes.txt").write_text("mine")
    places = {
        "MODEL": tiny_folder,
        "SMALL": compressed_folder,
        "DATA": data_file,
        "OUT": tmp_path / "out",
        "THERE": there,
    }
    out = there / "onnx" if "THERE" in words else tmp_path / "out"
    line = [command.split()[0], *(places.get(str(word), word) for word in words), *(["--overwrite"] * overwrite)]
    place, name = target.rsplit(".", 1)
    original = getattr(sys.modules.get(place) or __import__(place, fromlist=[name]), name)
    written: list[dict[str, bytes]] = []

    def work_while_another_run_begins_and_ends(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(target, original)
        other = run("-q", *line)
        assert other.exit_code == 0, other.output
        written.append(contents(tmp_path))
        return original(*arguments, **options)

    monkeypatch.setattr(target, work_while_another_run_begins_and_ends)
    result = run("-q", *line)
    assert len(written) == 1
    assert not list(tmp_path.rglob("*partial*"))
    assert (there / "notes.txt").read_text() == "mine"
    if overwrite:
        assert result.exit_code == 0, result.output
        assert set(contents(tmp_path)) == {name for name in written[0] if "partial" not in name}
        return
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    for word in (f"{out} exists already: another run wrote it", "nothing of this one was kept", "or give --overwrite"):
        assert word in result.stderr
    assert contents(tmp_path) == {name: content for name, content in written[0].items() if "partial" not in name}


def test_cards_written_at_the_same_time_keep_the_results_of_both(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    small = tmp_path / "small"
    succeed("compress", tiny_folder, small, "--method", "svd", "--rank", 4)
    evaluation = json.loads(succeed("evaluate", small, "--task", "sst2", "--data", data_file, "--json"))
    files = []
    for task in ("sst2", "cola", "rte", "qnli"):
        files.append(tmp_path / f"{task}.json")
        files[-1].write_text(json.dumps({**evaluation, "task": task}))
    command = [sys.executable, "-m", "fwsvd_export", "-q", "card", small, "--results"]
    processes = [subprocess.Popen([*command, file], stdout=subprocess.DEVNULL) for file in files]
    assert [process.wait() for process in processes] == [0] * len(files)
    scores = json.loads((small / "measurements.json").read_text())["scores"]
    assert {score["task"] for score in scores} == {file.stem for file in files}
    card = (small / "README.md").read_text()
    assert all(f"{file.stem}" in card for file in files)
