"""No folder of this machine is published, and the Hub's data sets are told from files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.storage.names import command_line, hub_data, without_folders


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("/home/me/model/", "model"),
        ("~/model", "model"),
        ("~me", "."),
        ("../../me/model", "model"),
        ("..", "."),
        ("/", "."),
        (r"C:\Users\me\model", "model"),
        ("--data=/home/me/train.jsonl", "--data=train.jsonl"),
        ("--data=--x=/home/me", "--data=--x=me"),
        ("models/bert", "models/bert"),
        ("me/bert", "me/bert"),
        ("--ratio=0.25", "--ratio=0.25"),
        ("encoder.layer.0.*", "encoder.layer.0.*"),
    ],
)
def test_local_folders_are_taken_away_and_nothing_else(word: str, name: str) -> None:
    assert without_folders(word) == name
    assert command_line([word, "x"]) == [name, "x"]


@given(st.text(max_size=30), st.sampled_from(["/home/somebody/", "~/somebody/", "../somebody/", "--data=/somebody/"]))
def test_what_stands_before_the_last_part_is_never_kept(last: str, folder: str) -> None:
    assert "somebody" not in without_folders(folder + (last.replace("/", "") or "x"))


@pytest.mark.parametrize("name", ["train.jsonl", "odd (name).csv", "a b (x)", "", "a/b/c (train)"])
def test_a_file_is_no_data_set_of_the_hub(name: str) -> None:
    assert hub_data(name) is None


def test_a_data_set_of_the_hub_has_an_id_and_a_split() -> None:
    assert hub_data("imdb (test)") == {"id": "imdb", "config": None, "split": "test"}
