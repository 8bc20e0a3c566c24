"""JSON documents to and from disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import CheckpointError, first_line

if TYPE_CHECKING:
    pass
_LARGEST_JSON_BYTES = 16_000_000
_DEEPEST_JSON = 32  # objects and lists inside each other; a configuration has three


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON document, indented, with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file that somebody else may have written.

    Raises:
        CheckpointError: the file cannot be read, is no JSON object, is too large, or holds what other readers refuse.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_JSON_BYTES:
            raise ValueError(f"it has {size / 1e6:,.1f} MB, and at most {_LARGEST_JSON_BYTES / 1e6:.0f} are read")
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {first_line(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return value


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
