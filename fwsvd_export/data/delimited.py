"""Comma- and tab-separated text becomes a table of texts."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fwsvd_export.data.table import Table
from fwsvd_export.errors import DataError, listed, message_of
from fwsvd_export.wording import counted

COMMA, TAB = ",", "\t"


def delimited_table(text: str, file: Path, delimiter: str) -> Table:
    """The rows under a header. Every cell is a text as it stands there, an empty one None; blank lines are not rows.

    Args:
        text: the file's.
        file: for messages.
        delimiter: ``COMMA``, where cells may be in quotation marks, or ``TAB``, where these are letters like others, as
            in GLUE's files.

    Raises:
        DataError: a column's name stands there twice, a row has more or fewer cells than the header, or a quotation
            mark has no partner.
    """
    with _cells_of_any_length():
        return _table(_rows(text, file, delimiter), file, delimiter)


def _table(lines: Iterator[list[str]], file: Path, delimiter: str) -> Table:
    header = next(lines, [])
    named = {name: place for place, name in enumerate(header) if name}  # a column without a name cannot be asked for
    twice = [name for name in named if header.count(name) > 1]
    if twice:
        raise DataError(
            f"{file} has more than one column named {listed(twice)}; its first line is the header, where every name "
            "may stand once"
        )
    cells: dict[str, list[str | None]] = {name: [] for name in named}
    for number, row in enumerate(lines, start=1):
        if len(row) != len(header):
            advice = "quote a text that holds commas" if delimiter == COMMA else "take tabs out of the texts"
            raise DataError(
                f"{file.name}, row {number:,} has {counted(len(row), 'cell')}, and the header has "
                f"{counted(len(header), 'column')} ({listed(header)}); {advice}"
            )
        for name, place in named.items():
            cells[name].append(row[place] or None)
    return Table(cells, header=True)


def _rows(text: str, file: Path, delimiter: str) -> Iterator[list[str]]:
    """The cells of every line that is not blank, the header first."""
    lines, number = io.StringIO(text, newline=""), 0
    if delimiter == COMMA:
        reader = csv.reader(lines, strict=True)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    try:
        for row in reader:
            if row:
                yield row
                number += 1
    except csv.Error as error:
        place = f"row {number:,}" if number else "header"
        raise DataError(
            f"{file.name}, {place}: {message_of(error)}; close every quotation mark and write those inside of a text "
            'twice ("")'
        ) from error


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Lifts the csv module's limit of 131,072 characters in a cell, which it keeps for the whole process."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
