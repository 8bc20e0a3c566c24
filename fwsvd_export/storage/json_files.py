"""JSON documents to and from disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, FwsvdExportError, message_of

WRITE_AGAIN = "write it again with the tool that made it"
_LARGEST_JSON_BYTES = 16_000_000
_DEEPEST_JSON = 32  # objects and lists inside each other; a configuration has three


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON document, indented, with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(
    path: Path,
    error_class: type[FwsvdExportError] = CheckpointError,
    place: str | None = None,
    remedy: str = WRITE_AGAIN,
    largest_bytes: int = _LARGEST_JSON_BYTES,
) -> dict[str, Any]:
    """The JSON object in a file that somebody else may have written.

    Args:
        path: of the file.
        error_class: of the error.
        place: what the user calls the file; None is its path.
        remedy: what to do, the end of the sentence.
        largest_bytes: the file may have; 16 MB by default.

    Raises:
        FwsvdExportError: of that class: the file cannot be read, is no JSON object, is too large, or holds what other
            readers refuse.
    """
    place = str(path) if place is None else place
    value = _read(path, error_class, place, remedy, largest_bytes)
    if not isinstance(value, dict):
        raise error_class(f"{place} holds no JSON object; {remedy}")
    return value


def read_json_list(path: Path, remedy: str = WRITE_AGAIN) -> list[Any]:
    """The JSON list in a file that somebody else may have written.

    Raises:
        CheckpointError: as ``read_json``, of what is not a list.
    """
    value = _read(path, CheckpointError, str(path), remedy, _LARGEST_JSON_BYTES)
    if not isinstance(value, list):
        raise CheckpointError(f"{path} does not hold a JSON list; {remedy}")
    return value


def _read(path: Path, error_class: type[FwsvdExportError], place: str, remedy: str, largest_bytes: int) -> Any:
    try:
        size = path.stat().st_size
        if size > largest_bytes:
            raise ValueError(f"it has {size / 1e6:,.1f} MB, and at most {largest_bytes / 1e6:.0f} are read")
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise error_class(f"{place} is not readable JSON: {message_of(error)}; {remedy}") from error


def parse_json(text: str) -> Any:
    """As ``json.loads``, but what the standard does not know, or would end Python's own stack, is refused.

    Raises:
        ValueError: no JSON; NaN or infinite numbers; texts that are no Unicode; too many levels.
    """
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deeply") from error
    level = [document]
    for _ in range(_DEEPEST_JSON):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("it holds NaN or an infinite number, which is no JSON")
            elif isinstance(value, str):
                value.encode()  # half of a pair of surrogates is no character
        if not inner:
            return document
        level = inner
    raise ValueError(f"lists and objects are nested more than {_DEEPEST_JSON} levels deep")
