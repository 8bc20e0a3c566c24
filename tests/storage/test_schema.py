"""One sentence for whatever in a document does not fit a record."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from fwsvd_export.errors import CardError, StatisticsError
from fwsvd_export.storage.schema import (
    ONE_LINE,
    Count,
    Line,
    Mismatch,
    Number,
    Shape,
    Size,
    Words,
    check_format,
    convert,
    read_as,
    to_builtins,
)


@dataclass(frozen=True)
class Row:
    name: Line
    shape: Shape
    rank: Size | None = None
    loss: Number = 0.0


@dataclass(frozen=True)
class Record:
    rows: tuple[Row, ...] = ()
    files: dict[str, Row] = field(default_factory=dict)
    sizes: dict[str, Count] = field(default_factory=dict)
    kept: bool = False
    words: Words = ()
    kind: Literal["a", "b"] | None = None
    text: str = ""
    plain: int = 0
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    nothing: None = None
    pairs: tuple[tuple[Count, Line], ...] = ()


ROW = {"name": "query", "shape": [3, 4]}


@pytest.mark.parametrize(
    ("document", "field", "allowed"),
    [
        ([], "", "an object"),
        ({"rows": {}}, "rows", "a list"),
        ({"rows": [ROW, 3]}, "rows[1]", "an object"),
        ({"rows": [ROW, {**ROW, "name": "a\nb"}]}, "rows[1].name", "a text of one line and at most 500 characters"),
        ({"rows": [{**ROW, "name": "x" * 501}]}, "rows[0].name", "a text of one line and at most 500 characters"),
        ({"rows": [{**ROW, "shape": [3]}]}, "rows[0].shape", "[out, in]"),
        ({"rows": [{**ROW, "shape": [3, -1]}]}, "rows[0].shape[1]", "a whole number from 0 to 10^15"),
        ({"rows": [{**ROW, "rank": 0}]}, "rows[0].rank", "a whole number from 1 to 10^15 or null"),
        ({"rows": [{**ROW, "rank": 4.0}]}, "rows[0].rank", "a whole number from 1 to 10^15 or null"),
        ({"rows": [{**ROW, "rank": True}]}, "rows[0].rank", "a whole number from 1 to 10^15 or null"),
        ({"rows": [{**ROW, "rank": 10**400}]}, "rows[0].rank", "a whole number from 1 to 10^15 or null"),
        ({"rows": [{**ROW, "loss": 10**400}]}, "rows[0].loss", "a number within ±10^15"),
        ({"rows": [{**ROW, "loss": 1e16}]}, "rows[0].loss", "a number within ±10^15"),
        (
            {"files": {"good": ROW, "b\n": {**ROW, "rank": "1"}}},
            "files.b\\n.rank",
            "a whole number from 1 to 10^15 or null",
        ),
        ({"files": {"good": ROW, "bad": 7}}, "files.bad", "an object"),
        ({"sizes": {"good": 1, "bad": -1}}, "sizes", "an object"),
        ({"kept": 1}, "kept", "true or false"),
        ({"words": "rm"}, "words", "a list of texts"),
        ({"words": [1]}, "words[0]", "a text"),
        ({"kind": "c"}, "kind", "a or b or null"),
        ({"text": None}, "text", "a text"),
        ({"plain": "1"}, "plain", "a whole number"),
        ({"share": 2}, "share", "a number"),
        ({"nothing": 0}, "nothing", "null"),
        ({"pairs": [[1, "x"], [1, 2]]}, "pairs[1][1]", "a text of one line and at most 500 characters"),
    ],
)
def test_the_field_the_value_and_what_is_allowed_are_named(document: Any, field: str, allowed: str) -> None:
    with pytest.raises(Mismatch) as caught:
        convert(Record, document)
    found = caught.value
    assert (found.field, found.missing, found.allowed) == (field, None, allowed)
    with pytest.raises(CardError) as told:
        read_as(Record, document, "some.json", CardError, "do this")
    assert str(told.value).startswith(f"some.json: {field} is " if field else "some.json is ")
    assert str(told.value).endswith(f", {allowed} is needed; do this")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"rows": [{"shape": [1, 1]}]}, "some.json: rows[0] has no name; do this"),
        ({"files": {"a": {"name": "x"}}}, "some.json: files.a has no shape; do this"),
    ],
)
def test_a_missing_field_is_named(document: Any, sentence: str) -> None:
    with pytest.raises(StatisticsError) as caught:
        read_as(Record, document, "some.json", StatisticsError, "do this")
    assert str(caught.value) == sentence
    with pytest.raises(StatisticsError, match=r"^some\.json has no name; do this$"):
        read_as(Row, {}, "some.json", StatisticsError, "do this")


def test_what_fits_is_read_and_written_as_it_was_and_unknown_keys_are_let_through() -> None:
    document = {"rows": [{**ROW, "rank": None, "loss": 1}], "words": ["a\nb"], "newer": {"x": 1}}
    record = convert(Record, document)
    assert record.rows == (Row("query", (3, 4), None, 1.0),)
    written = to_builtins(record)
    assert written["rows"] == [{**ROW, "rank": None, "loss": 1.0}]
    assert (written["words"], "newer" in written) == (["a\nb"], False)
    assert convert(Record, written) == record


def test_a_line_has_no_character_that_steers_a_terminal_or_turns_a_text() -> None:
    line = re.compile(ONE_LINE)
    for code in range(0x110000):
        character = chr(code)
        unassigned = unicodedata.category(character) == "Cn"  # what is assigned differs between versions of Python
        if not unassigned:
            assert (line.match(character) is not None) == character.isprintable(), hex(code)


@pytest.mark.parametrize(
    ("document", "reads"),
    [
        ({"format": 2, "versions": {"fwsvd-export": "3.1.0"}}, "read it with fwsvd-export 3.1.0, which wrote it"),
        ({"format": 2, "versions": {"fwsvd-export": "3\n1"}}, "read it with the version that wrote it"),
        ({"format": 2, "versions": []}, "read it with the version that wrote it"),
        ({"format": 0}, "read it with the version that wrote it"),
    ],
)
def test_another_format_names_both_and_who_wrote_it(document: dict[str, Any], reads: str) -> None:
    with pytest.raises(CardError) as caught:
        check_format(document, 1, "some.json", CardError, "do this")
    assert str(caught.value) == f"some.json has format {document['format']}, this version reads 1; {reads}, or do this"


@pytest.mark.parametrize("document", [{"format": 1}, {}, {"format": "2"}, {"format": True}])
def test_other_values_of_a_format_are_left_to_the_schema(document: dict[str, Any]) -> None:
    check_format(document, 1, "some.json", CardError, "do this")
