"""A full disk, Ctrl-C and requests to end leave nothing behind; what SIGKILL leaves, the next run removes."""

from __future__ import annotations

import errno
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from datasets import Dataset
from transformers import PreTrainedModel

Run = Callable[..., Result]


def test_a_limit_on_file_sizes_is_reported_and_leaves_nothing(
    tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    data = ["--task", "sst2", "--data", data_file, "--collect", "element"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))  # the operating system refuses to write more
    try:
        results = [
            run("-q", "compress", tiny_folder, tmp_path / "out", "--method", "svd", "--rank", 8),
            run("-q", "fisher", tiny_folder, "-o", tmp_path / "out", *data),
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for result in results:
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: no space left while writing {tmp_path / 'out'}; nothing was kept")
        assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def interrupt(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def fill(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("stop", "code", "words"), [(interrupt, 130, "Interrupted"), (fill, 1, "no space left")])
@pytest.mark.parametrize(
    "target",
    [
        "transformers.PreTrainedModel.save_pretrained",
        "fwsvd_export.workflows.write.write_card",
        "fwsvd_export.storage.output._replace",
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_writing_that_stops_half_way_keeps_the_old_output_or_none(
    existing: bool,
    target: str,
    stop: Callable[..., None],
    code: int,
    words: str,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    out = tmp_path / "small"
    if existing:
        out.mkdir()
        (out / "old.txt").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(target, stop)
    result = run("-q", "compress", tiny_folder, out, "--method", "svd", "--rank", 4, "--overwrite")
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_were_already_written_go_when_the_rest_fails(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    whole = PreTrainedModel.save_pretrained

    def save_then_stop(model: Any, folder: Path, *arguments: Any, **options: Any) -> None:
        whole(model, folder, *arguments, **options)
        assert (Path(folder) / "model.safetensors").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", save_then_stop)
    result = run("-q", "compress", tiny_folder, tmp_path / "small", "--method", "svd", "--rank", 4)
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def said(number: signal.Signals) -> str:
    """What is printed at the end of a command that a signal has ended."""
    by = "" if number is signal.SIGINT else f" by {number.name}"
    return f"Interrupted{by}; no output is left half-written."


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_while_statistics_are_collected(
    number: signal.Signals,
    tiny_folder: Path,
    make_sentences: Callable[..., list[str]],
    write_rows: Callable[[list[dict[str, Any]]], Path],
    tmp_path: Path,
) -> None:
    data = write_rows([{"sentence": text, "label": 1} for text in make_sentences(4_000)])
    options = ["--task", "sst2", "--data", data, "--batch-size", "1"]
    command = [sys.executable, "-m", "fwsvd_export", "fisher", tiny_folder, "-o", tmp_path / "out", *options]
    ours, theirs = pty.openpty()  # to a terminal, progress is shown while it is made
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while b"collecting" not in shown:
        shown += os.read(ours, 1024)  # raises when the process ends before it shows progress
    process.send_signal(number)
    while True:
        try:
            shown += os.read(ours, 1024)
        except OSError:
            break
    assert process.wait() == 128 + number
    assert said(number).encode() in shown
    assert b"Traceback" not in shown
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert list(tmp_path.iterdir()) == []


# Replaces one function by a wait, after saying that it has come so far, and runs the command line
PROGRAM = """
import importlib, sys, time
place, name = sys.argv.pop(1).rsplit(".", 1)
def wait(*arguments, **options):
    print("here", flush=True)
    for _ in range(12_000):  # a signal may reach another thread, and does not wake this one then
        time.sleep(0.05)
module = importlib.import_module(place)
assert hasattr(module, name)
setattr(module, name, wait)
from fwsvd_export.cli import main
main()
"""
# Command, and the function that it waits in
STAGES = {
    "data": (["fisher", "MODEL", "-o", "OUT", "--task", "sst2", "--data", "PARQUET"], "datasets.load_dataset"),
    "folder": (
        ["compress", "MODEL", "OUT", "--rank", "4", "--method", "svd"],
        "fwsvd_export.workflows.write.write_card",
    ),
    "file": (
        ["fisher", "MODEL", "-o", "OUT", "--task", "sst2", "--data", "DATA", "--max-samples", "2"],
        "safetensors.torch.save_file",
    ),
    "onnx": (["onnx", "SMALL", "-o", "OUT"], "fwsvd_export.workflows.export.differences"),
    "bench": (
        [
            "bench",
            "MODEL",
            "SMALL",
            "-o",
            "OUT",
            "--runtime",
            "torch",
            "--batch-sizes",
            "1",
            "--lengths",
            "8",
            "--rounds",
            "1",
        ],
        "fwsvd_export.workflows.bench.time_runners",
    ),
    "verify": (["push", "SMALL", "me/small", "--dry-run"], "subprocess.run"),
}


class Begun:
    """A command that has come to a stage, its output and its temporary data in folders of its own."""

    def __init__(self, stage: str, folder: Path, places: dict[str, Path], **options: Any) -> None:
        words, target = STAGES[stage]
        self.out, self.scratch = folder / "outputs" / "out", folder / "temporary"
        for place in (self.out.parent, self.scratch):
            place.mkdir(exist_ok=True)
        self.words = [str({**places, "OUT": self.out}.get(word, word)) for word in words]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, target, *self.words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.scratch)},
            **options,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "here\n", self.process.stderr and self.process.stderr.read()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code and stderr after a signal."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate()
        return self.process.returncode, stderr

    @property
    def left(self) -> list[Path]:
        """Everything of ours where outputs and temporary data go."""
        return [*self.out.parent.iterdir(), *self.scratch.glob("fwsvd-export-*")]


@pytest.fixture
def places(
    tiny_folder: Path, data_file: Path, compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    parquet = tmp_path_factory.mktemp("data") / "train.parquet"
    Dataset.from_json(str(data_file), cache_dir=str(parquet.parent / "cache")).to_parquet(str(parquet))
    return {"MODEL": tiny_folder, "DATA": data_file, "PARQUET": parquet, "SMALL": compressed_folder}


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        *((stage, signal.SIGTERM) for stage in STAGES),
        ("folder", signal.SIGHUP),
        ("folder", signal.SIGINT),
    ],
)
def test_a_signal_at_any_stage_leaves_nothing(
    stage: str, number: signal.Signals, places: dict[str, Path], tmp_path: Path
) -> None:
    begun = Begun(stage, tmp_path, places)
    assert begun.left != []
    code, stderr = begun.end(number)
    assert code == 128 + number
    assert stderr.splitlines()[-1] == said(number)
    assert "Traceback" not in stderr
    assert begun.left == []


def test_a_hangup_under_nohup_is_ignored(places: dict[str, Path], tmp_path: Path) -> None:
    begun = Begun("folder", tmp_path, places, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    begun.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        begun.process.wait(timeout=1)
    assert begun.end(signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert begun.left == []


def test_a_hangup_ends_a_command_whose_terminal_is_gone(places: dict[str, Path], tmp_path: Path) -> None:
    begun = Begun("folder", tmp_path, places)
    assert begun.process.stderr is not None
    begun.process.stderr.close()
    begun.process.send_signal(signal.SIGHUP)
    assert begun.process.wait() == 128 + signal.SIGHUP
    assert begun.left == []


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "verify"])
def test_the_next_run_says_what_a_killed_one_left_and_removes_it(
    stage: str, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    begun = Begun(stage, tmp_path, places)
    assert begun.end(signal.SIGKILL)[0] == -signal.SIGKILL
    left = begun.left
    assert left != []
    monkeypatch.setattr("tempfile.tempdir", str(begun.scratch))
    result = run(*begun.words)
    assert result.exit_code == 0, result.output
    for place in left:
        assert f"Removed {place}, " in result.stderr
    assert "a run that was killed." in result.stderr
    assert begun.left == [begun.out]


def test_a_run_that_lives_keeps_what_it_is_writing(
    places: dict[str, Path], tmp_path: Path, succeed: Callable[..., str]
) -> None:
    begun = Begun("folder", tmp_path, places)
    left = begun.left
    succeed(*begun.words)
    assert sorted(begun.left) == sorted([*left, begun.out])
    assert begun.end(signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert begun.left == [begun.out]
