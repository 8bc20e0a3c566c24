"""--reconstruct and its former name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[..., str]
Succeed = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "reconstructed"),
    [
        ([], True),
        (["--reconstruct"], True),
        (["--match"], True),
        (["--match", "--reconstruct"], True),
        (["--no-reconstruct"], False),
        (["--no-match"], False),
    ],
)
def test_reconstruction_goes_by_both_names(
    words: list[str], reconstructed: bool, tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data = ["--task", "sst2", "--data", data_file, "--max-samples", 8]
    record = json.loads(succeed("compress", tiny_folder, tmp_path / "out", *data, "--rank", 4, *words, "--json"))
    assert (record["reconstruction"] is not None) is reconstructed


def test_names_that_contradict_are_wrong_usage(refused: Refused) -> None:
    sentence = refused("compress", "model", "out", "--rank", 4, "--match", "--no-reconstruct", code=2)
    assert "--match" in sentence
    assert "--reconstruct" in sentence
    assert "give one of them" in sentence


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        ([], 2, "exactly one of --ratio, --rank, --params and --max-drop"),
        (["--rank", 4, "--max-drop", 0.1], 2, "not both"),
        (["--rank", 4, "--solver-option", "start"], 2, "write start=VALUE"),
        (["--params", "many"], 2, "write 20000000, 20M or 1.5M"),
        (["--rank", 4, "--ratio", 0.5], 1, "ratio and rank given"),
    ],
)
def test_sizes_and_options_that_make_no_sense(words: list[object], code: int, found: str, refused: Refused) -> None:
    assert found in refused("compress", "model", "out", *words, code=code)
