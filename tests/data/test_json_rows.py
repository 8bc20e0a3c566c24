"""JSON lines and JSON documents give rows; anything else is refused where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.data.json_rows import json_table
from fwsvd_export.errors import DataError

FILE, DOCUMENT = Path("rows.jsonl"), Path("rows.json")
ROWS = {"text": ["a", "b"], "label": [0, 1]}


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n',
        '\n\n{"text": "a", "label": 0}\r\n \t\r\n{"text": "b", "label": 1}',
        '[{"text": "a", "label": 0}, {"text": "b", "label": 1}]',
        ' [\n{"text": "a",\n"label": 0},\n{"text": "b", "label": 1}\n]\n',
    ],
)
@pytest.mark.parametrize("file", [FILE, DOCUMENT])
def test_lines_and_lists_give_the_same_rows(text: str, file: Path) -> None:
    assert json_table(text, file).columns == ROWS


def test_a_line_separator_inside_a_text_does_not_end_its_line() -> None:
    assert json_table('{"text": "a\u2028b\x85c"}', FILE).columns == {"text": ["a\u2028b\x85c"]}


@pytest.mark.parametrize("text", ['{"text": "a", "label": 0}', '{\n "text": "a",\n "label": 0\n}\n'])
@pytest.mark.parametrize("file", [FILE, DOCUMENT])
def test_one_object_of_a_row_is_a_row(text: str, file: Path) -> None:
    assert json_table(text, file).columns == {"text": ["a"], "label": [0]}


def test_one_line_of_lists_is_a_row_of_json_lines_and_columns_of_a_document() -> None:
    text = '{"tokens": ["a", "b"], "ner_tags": [0, 1]}'
    assert json_table(text, FILE).columns == {"tokens": [["a", "b"]], "ner_tags": [[0, 1]]}
    with pytest.raises(DataError, match=r"one object with the keys tokens, ner_tags, and one object per row is needed"):
        json_table(text, DOCUMENT)


@pytest.mark.parametrize(
    "text",
    ['{\n"text": ["a"]\n}', '{"text": {"0": "a"}, "label": {"0": 1}}', '{"data": [{"text": "a"}], "version": 1}'],
)
def test_one_object_of_columns_or_of_rows_under_a_key_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"rows\.json holds one object .*: save the rows as JSON lines"):
        json_table(text, DOCUMENT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"text": "a"}\n\n{"text": \n', "rows.jsonl, row 2: this is not JSON: Expecting value at character 10"),
        ("good film\n", "rows.jsonl, row 1: this is not JSON"),
        ('[\n{"text": "a"},\n{"text" "b"}]', "rows.jsonl: this is not JSON: .* at character 9 of line 3"),
        ('{"text": "a"}\n5\n', "rows.jsonl, row 2: 5 is not an object"),
        ('[["a", 0]]', "rows.jsonl, row 1: .'a', 0. is not an object"),
        ('{"a": 1}\n{"text": "a", "text": "b"}', "row 2: this cannot be read as JSON: the name 'text' stands in one"),
        ('{"text": "a", "text": "b"}', "row 1: this cannot be read as JSON: the name 'text' stands in one"),
        ('{"label": ' + "9" * 5000 + "}", "row 1: this cannot be read as JSON"),
        ("[" * 100_000, "rows.jsonl: this cannot be read as JSON"),
    ],
)
def test_what_is_not_rows_is_refused_in_one_short_sentence(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        json_table(text, FILE)
    assert len(str(caught.value)) < 400
