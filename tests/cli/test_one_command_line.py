"""One command line serves every method: what a method does not use is said on stderr, not read, and not claimed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.digest import file_sha256
from tests.helpers import WORDS

Run = Callable[..., Result]
UNUSED_DATA = "--data is not used: method {} takes what it needs from --fisher, and no layer is reconstructed."


@pytest.fixture
def compress(tiny_folder: Path, tmp_path: Path, run: Run) -> Callable[..., tuple[dict[str, Any], list[str]]]:
    """A function that compresses to rank 4 into tmp_path/name; the record in the folder and the hints."""

    def compress(name: str, *options: object) -> tuple[dict[str, Any], list[str]]:
        result = run("compress", tiny_folder, tmp_path / name, "--rank", 4, *options)
        assert result.exit_code == 0, result.output
        record: dict[str, Any] = json.loads((tmp_path / name / "compression.json").read_text())
        return record, [line for line in result.stderr.splitlines() if "is not used" in line]

    return compress


@pytest.fixture
def both(statistics_file: Path, data_file: Path) -> list[object]:
    return ["--fisher", statistics_file, "--task", "sst2", "--data", data_file]


@pytest.mark.parametrize("method", SOLVERS)
def test_statistics_and_data_are_given_to_every_method(
    method: str, both: list[object], compress: Callable[..., Any], statistics_file: Path, tmp_path: Path
) -> None:
    few = ["--solver-option", "max_iterations=2"] if isinstance(SOLVERS[method], Iterative) else []
    record, hints = compress("both", *both, "--method", method, *few)
    expected = {
        "svd": [
            "--data is not used: method svd needs no statistics, and no layer is reconstructed.",
            "--fisher is not used: method svd needs no statistics.",
        ],
        "kfac": [],
    }
    assert hints == expected.get(method, [UNUSED_DATA.format(method)])
    if method == "svd":
        assert record["fisher"] is None
        compress("alone", "--method", method)
    else:
        assert record["fisher"]["sha256"] == file_sha256(statistics_file)
        assert "statistics" not in record["seconds"], "they are read, not collected"
        compress("alone", "--fisher", statistics_file, "--method", method, *few)
    assert (record["reconstruction"] is not None) is (method == "kfac")
    digests = {file_sha256(tmp_path / name / "model.safetensors") for name in ("both", "alone")}
    assert len(digests) == 1


def test_kfac_that_is_not_reconstructed_needs_no_data_beside_statistics(
    both: list[object], compress: Callable[..., Any]
) -> None:
    record, hints = compress("small", *both, "--no-reconstruct")
    assert hints == [UNUSED_DATA.format("kfac")]
    assert record["reconstruction"] is None


def test_what_is_not_used_is_not_read(
    both: list[object], compress: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("fwsvd_export.workflows.compress.load_statistics")
    monkeypatch.delattr("fwsvd_export.workflows.calibration.load_batches")
    _, hints = compress("small", *both, "--method", "svd", "--labels", "sampled")
    assert len(hints) == 3
    assert hints[-1] == "--labels is not used: method svd needs no statistics."


def test_a_data_set_is_called_by_its_own_option(
    statistics_file: Path, compress: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--fisher", statistics_file, "--task", "sst2", "--dataset", "glue:sst2"]
    _, (hinted,) = compress("small", *given, "--method", "fwsvd")
    assert hinted.startswith("--dataset is not used: method fwsvd takes what it needs from --fisher")


def test_data_that_an_accuracy_target_or_a_report_reads_is_used(
    statistics_file: Path, write_rows: Callable[..., Path], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    rows = write_rows([{"sentence": f"{word} film is not {word}", "label": 1} for word in WORDS])
    given = ["--fisher", statistics_file, "--task", "sst2", "--data", rows, "--method", "fwsvd"]
    for name, options in (("drop", ["--max-drop", 1]), ("report", ["--rank", 4, "--report", tmp_path / "page"])):
        result = run("compress", tiny_folder, tmp_path / name, *given, *options)
        assert result.exit_code == 0, result.output
        assert "is not used" not in result.stderr


def test_labels_that_the_statistics_were_not_collected_with(
    statistics_file: Path, compress: Callable[..., Any], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    _, hints = compress("same", "--fisher", statistics_file, "--labels", "data")
    assert hints == []
    words = ["--fisher", statistics_file, "--labels", "sampled", "--rank", 4]
    result = run("-q", "compress", tiny_folder, tmp_path / "out", *words)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --labels sampled is given, and the statistics file was collected with labels data; leave --labels out, "
        "or collect again with --labels sampled\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "svd", "--reconstruct"], "which method svd does not have; use --method kfac, or leave out"),
        (["--method", "svd", "--fisher-axis", "output"], "is for method fwsvd, and the method is svd; leave it out"),
        (["--method", "svd", "--solver-option", "start=row"], "method svd is exact and takes no options"),
    ],
)
def test_a_wish_that_the_method_cannot_meet_stays_an_error(
    options: list[str], words: str, both: list[object], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("-q", "compress", tiny_folder, tmp_path / "out", *both, "--rank", 4, *options)
    assert result.exit_code == 1
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []
