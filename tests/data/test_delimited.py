"""Comma- and tab-separated text, with the cells as they stand there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fwsvd_export.data.delimited import COMMA, TAB, delimited_table
from fwsvd_export.errors import DataError

FILE = Path("rows.csv")


def columns(text: str, delimiter: str = COMMA) -> dict[str, list[str | None]]:
    return {name: list(cells) for name, cells in delimited_table(text, FILE, delimiter).columns.items()}


def test_cells_are_texts_and_empty_ones_none() -> None:
    text = 'text,label\r\n"a ""b"",\nc",1\r\n\r\nnull,\r\n01,NA\r\n'
    assert columns(text) == {"text": ['a "b",\nc', "null", "01"], "label": ["1", None, "NA"]}


def test_quotation_marks_are_letters_between_tabs() -> None:
    assert columns('text\tlabel\n"a\t1\nb"" c\t0\n', TAB) == {"text": ['"a', 'b"" c'], "label": ["1", "0"]}


def test_columns_without_a_name_are_left_out() -> None:
    assert columns(",text,,\n0,a,x,y\n") == {"text": ["a"]}


def test_a_cell_may_be_of_any_length_and_the_modules_limit_stays() -> None:
    limit = csv.field_size_limit()
    assert columns(f"text\n{'a' * 300_000}\n") == {"text": ["a" * 300_000]}
    with pytest.raises(DataError):
        columns('text\n"a')
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("text", "delimiter", "words"),
    [
        ("a,b,a,b\n1,2,3,4\n", COMMA, "more than one column named a, b; its first line is the header"),
        ("text,label\na,1\n\nb, c,0\n", COMMA, "row 2 has 3 cells, and the header has 2 columns .text, label.; quote"),
        ("text,label\na\n", COMMA, "row 1 has 1 cell, and the header has 2 columns"),
        ("text\na\tb\n", TAB, "row 1 has 2 cells, and the header has 1 column .text.; take tabs out"),
        ('text\na\n"b\n', COMMA, "row 2: unexpected end of data; close every quotation mark"),
        ('text\n"a"b\n', COMMA, "row 1: .*; close every quotation mark and write those inside of a text twice"),
        ('"text\n', COMMA, "header: unexpected end of data"),
    ],
)
def test_what_is_not_a_table_is_refused(text: str, delimiter: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        columns(text, delimiter)
