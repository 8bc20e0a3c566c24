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


@pytest.mark.parametrize("written", [".02M", "20K", "20 k", "2e4", "2E+4", "20_000", "20000", "0.00002B", "20000.0"])
def test_numbers_of_parameters_are_read_as_people_write_them(
    written: str, tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    options = ["--method", "svd", "--params", written, "--json"]
    record = json.loads(succeed("compress", tiny_folder, tmp_path / "out", *options))
    assert record["asked"]["params"] == 20_000
    assert record["parameters"]["total_compressed"] <= 20_000


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        ([], 2, "exactly one of --ratio, --rank, --params and --max-drop"),
        (["--rank", 4, "--max-drop", 0.1], 2, "not both"),
        (["--rank", 4, "--solver-option", "start"], 2, "write start=VALUE"),
        (["--params", "many"], 2, "'many': a whole number of parameters is allowed; write 20_000_000, 20M, .5M or 2e7"),
        (["--params", "15MB"], 2, "'15MB': --params counts parameters, not bytes; a whole number of parameters is"),
        (["--params", "1.5 GiB"], 2, "'1.5 GiB': --params counts parameters, not bytes"),
        (["--params", "200kb"], 2, "'200kb': --params counts parameters, not bytes"),
        (["--params", "1.5"], 2, "'1.5': a whole number of parameters is allowed"),
        (["--params", ".0000001M"], 2, "'.0000001M': a whole number of parameters is allowed"),
        (["--params", "-5"], 2, "'-5': a whole number of parameters is allowed"),
        (["--params", "1__0"], 2, "'1__0': a whole number of parameters is allowed"),
        (["--params", "e6"], 2, "'e6': a whole number of parameters is allowed"),
        (["--params", "1e999999999"], 2, "'1e999999999': a whole number of parameters is allowed"),
        (["--params", "nan"], 2, "'nan': a whole number of parameters is allowed"),
        (["--params", ""], 2, "'': a whole number of parameters is allowed"),
        (["--params", "0"], 1, "params 0: a whole number of at least 1 is allowed"),
        (["--rank", 4, "--ratio", 0.5], 1, "ratio and rank given"),
    ],
)
def test_sizes_and_options_that_make_no_sense(words: list[object], code: int, found: str, refused: Refused) -> None:
    assert found in refused("compress", "model", "out", *words, code=code)
