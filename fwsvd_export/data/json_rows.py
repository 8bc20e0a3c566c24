"""JSON becomes a table: one object per line, or one list of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fwsvd_export.data.table import Table
from fwsvd_export.errors import DataError, listed, message_of, shown


def json_table(text: str, file: Path) -> Table:
    """The rows of JSON lines or of a JSON document; blank lines are not rows.

    Args:
        text: the file's.
        file: for messages. In a file named .json a single object is looked at as a document, elsewhere it is a row.

    Raises:
        DataError: the text is not JSON, or holds something else than rows.
    """
    if text.lstrip().startswith("["):
        rows = _parsed(text, f"{file}: ")
    else:
        rows = _lines(text, file)
        if len(rows) == 1 and ".jsonl" not in file.name.lower() and ".ndjson" not in file.name.lower():
            rows = [_single(rows[0], file)]
    return Table.of_rows([_object_row(row, file, number) for number, row in enumerate(rows, start=1)])


def row_of(line: str, file: Path, number: int) -> dict[str, Any]:
    """The row that a line of a file holds.

    Raises:
        DataError: the line is not JSON, or no object.
    """
    return _object_row(_parsed(line, f"{file.name}, row {number:,}: "), file, number)


def is_row(line: bytes) -> bool:
    """Whether a file's first line holds a whole row: a document may span lines, or be a list of rows."""
    try:
        return isinstance(json.loads(line.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _object_row(row: Any, file: Path, number: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(
            f"{file.name}, row {number:,}: {shown(row)} is not an object with the columns' names and values"
        )
    return row


def _lines(text: str, file: Path) -> list[Any]:
    """A value per line that is not blank; or one value, where the first line does not hold a whole one."""
    rows: list[Any] = []
    for line in text.split("\n"):  # not splitlines: a text may hold U+2028
        if not line.strip():
            continue
        try:
            rows.append(_parsed(line, f"{file.name}, row {len(rows) + 1:,}: "))
        except DataError:
            document = None if rows else _whole(text)
            if document is None:
                raise
            return [_single(document, file)]
    return rows


def _whole(text: str) -> Any:
    """The value that all lines hold together; None where they do not."""
    try:
        return _parsed(text, "")
    except DataError:
        return None


def _single(value: Any, file: Path) -> Any:
    """One object that is a whole document: a row, unless it holds columns, or rows under a key."""
    if isinstance(value, dict) and _holds_questions(value):
        return value
    cells = list(value.values()) if isinstance(value, dict) else []
    if any(isinstance(cell, list) for cell in cells) or (cells and all(isinstance(cell, dict) for cell in cells)):
        raise DataError(
            f"{file} holds one object with the keys {listed(value)}, and one object per row is needed: save the rows "
            "as JSON lines, with pandas by frame.to_json('rows.jsonl', orient='records', lines=True)"
        )
    return value


def _holds_questions(value: dict[str, Any]) -> bool:
    """Whether an object is a document of questions in SQuAD's published form, which is read as one row."""
    articles = value.get("data")
    nested = isinstance(articles, list) and any(isinstance(row, dict) and "paragraphs" in row for row in articles)
    return nested or isinstance(value.get("paragraphs"), list) or isinstance(value.get("qas"), list)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}this is not JSON: {error.msg} at character {error.colno:,}"
            f"{f' of line {error.lineno:,}' if error.lineno > 1 else ''}; correct it or write the file again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}this cannot be read as JSON: {message_of(error)}; correct it") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {shown(twice)} stands in one object more than once")
    return found
