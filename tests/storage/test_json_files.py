"""JSON documents that somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.storage.json_files import parse_json, read_json, write_json


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    value = {"größe": [1, 2.5, None, True], "nested": {"a": "ü"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "größe" in text


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", '{"a": Infinity}', "1e999", '"\\ud800"', "[" * 40 + "]" * 40, "[" * 100_000],
    ids=["nothing", "cut", "NaN", "infinity", "overflow", "half a character", "40 levels", "100,000 levels"],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_levels_up_to_the_deepest_are_read() -> None:
    value: Any = parse_json("[" * 32 + "]" * 32)
    assert value == parse_json(str(value))


@pytest.mark.parametrize(
    ("content", "largest", "words"),
    [
        (b"[1]", 100, "holds no JSON object"),
        (b'{"a": 1}', 4, "at most 0 are read"),
        (b"\xff", 100, "not readable JSON"),
        (None, 100, "not readable JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(
    content: bytes | None, largest: int, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CardError, match=words) as caught:
        read_json(tmp_path / "a.json", CardError, "the card", "write it again", largest)
    assert str(caught.value).startswith("the card ")
    assert str(caught.value).endswith("; write it again")
