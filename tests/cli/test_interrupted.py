"""A full disk or Ctrl-C leaves nothing behind."""

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
        assert (folder / "model.safetensors").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", save_then_stop)
    result = run("-q", "compress", tiny_folder, tmp_path / "small", "--method", "svd", "--rank", 4)
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_statistics_are_collected(
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
    process.send_signal(signal.SIGINT)
    while True:
        try:
            shown += os.read(ours, 1024)
        except OSError:
            break
    assert process.wait() == 130
    assert b"Interrupted; nothing was written." in shown
    assert b"Traceback" not in shown
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert list(tmp_path.iterdir()) == []
