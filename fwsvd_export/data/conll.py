"""CoNLL text becomes a table of sentences: a token and its tag per line, a blank line behind every sentence."""

from __future__ import annotations

import re
from pathlib import Path

from fwsvd_export.data.table import Table
from fwsvd_export.errors import DataError, shown
from fwsvd_export.wording import counted

_DOCUMENT = "-DOCSTART-"  # the token of a line between documents


def conll_table(text: str, file: Path, columns: tuple[str, str]) -> Table:
    """A row per sentence: its tokens, of the first column of the lines, and its tags, of the last.

    Columns are separated by tabs where any line has one, and by blanks elsewhere. Lines of ``-DOCSTART-`` end a
    sentence as blank lines do. A line that begins with ``#`` above a sentence is a comment, unless it has the columns
    and the tag of a token.

    Args:
        text: the file's.
        file: for messages.
        columns: names of the tokens' and the tags' column in the table; the file has none.

    Raises:
        DataError: a line without a tag, or with more or fewer columns than the others.
    """
    lines = text.split("\n")
    tabs = any("\t" in line for line in lines if not line.startswith("#"))
    parts = [_parts(line, tabs) for line in lines]
    plain = [cells for cells in parts if cells and not cells[0].startswith(("#", _DOCUMENT))]
    width, tags = len(plain[0]) if plain else 2, {cells[-1] for cells in plain}
    sentences: list[tuple[list[str], list[str]]] = []
    inside = False
    for number, cells in enumerate(parts, start=1):
        if not cells or cells[0].startswith(_DOCUMENT):
            inside = False
            continue
        if not inside and cells[0].startswith("#") and (len(cells) != width or cells[-1] not in tags):
            continue
        _check_line(cells, width, f"{file.name}, line {number:,}")
        if not inside:
            sentences.append(([], []))
            inside = True
        sentences[-1][0].append(cells[0])
        sentences[-1][1].append(cells[-1])
    words, labels = columns
    return Table({words: [tokens for tokens, _ in sentences], labels: [found for _, found in sentences]})


def _parts(line: str, tabs: bool) -> list[str]:
    """The columns of a line; none where it is blank. Other white space than blanks and tabs may be a token."""
    bare = line.strip(" \t\r")
    if not bare:
        return []
    return line.rstrip("\r").split("\t") if tabs else re.split(r"[ \t]+", bare)


def _check_line(cells: list[str], width: int, where: str) -> None:
    if len(cells) < 2 or not cells[0] or not cells[-1]:
        raise DataError(f"{where}: {shown(' '.join(cells))} is not a token and its tag, which every line needs")
    if len(cells) != width:
        found = counted(len(cells), "column")
        raise DataError(
            f"{where} has {found}, and the first line has {width}; write as many on every line, and a blank line "
            "between sentences"
        )
