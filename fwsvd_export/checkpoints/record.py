"""What a ``compression.json`` must hold, whoever wrote it: names, kinds and sizes of what is read from it later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, shown

RECORD_FORMAT = 1
_LARGEST_NUMBER = 10**15  # of parameters, examples and tokens: far above any, and every float holds it exactly
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class _Kind:
    """One kind of value: what a sentence calls it, and how it is told."""

    name: str
    fits: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


def _or_null(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.name} or null", lambda value: value is None or kind.fits(value))


_TEXT = _Kind(f"a text of one line and at most {_LONGEST_TEXT} characters", _is_text)
_NUMBER = _Kind("a number", _is_number)
_COUNT = _Kind("a whole number of at least 0", _is_count)
_RANK = _or_null(_Kind("a whole number of at least 1", lambda value: _is_count(value) and value > 0))
_TRUTH = _Kind("true or false", lambda value: isinstance(value, bool))
_SHAPE = _Kind(
    "[out, in]", lambda value: isinstance(value, list) and len(value) == 2 and all(_is_count(side) for side in value)
)
_TEXTS = _Kind(
    "a list of texts", lambda value: isinstance(value, list) and all(isinstance(word, str) for word in value)
)
_INHERITED = _Kind(
    "an object of texts and lists of texts",
    lambda value: (
        isinstance(value, dict) and all(isinstance(entry, str) or _TEXTS.fits(entry) for entry in value.values())
    ),
)
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))

_PARAMETERS = dict.fromkeys(("linear_dense", "linear_compressed", "total_dense", "total_compressed"), _COUNT)
_LAYER = {"name": _TEXT, "shape": _SHAPE, "rank": _RANK, "predicted_loss": _NUMBER}
# Field -> its kind, the fields of an object, or in a list the fields of every object of a list
_FIELDS: dict[str, Any] = {
    "format": _COUNT,
    "base_model": _TEXT,
    "base_sha256": _or_null(_TEXT),
    "method": _TEXT,
    "allocate": _TEXT,
    "parameters": {**_PARAMETERS, "ratio": _NUMBER},
    "layers": [{**_LAYER, "kept_dense": _TRUTH}],
    "fisher": {
        "task": _or_null(_TEXT),
        "data": _or_null(_TEXT),
        "examples": _COUNT,
        "labels": _TEXT,
        "max_length": _or_null(_COUNT),
        "sha256": _or_null(_TEXT),
    },
    "gate": {
        "metric": _TEXT,
        "max_drop": _NUMBER,
        "dense": _NUMBER,
        "validation": _TEXT,
        "validation_examples": _COUNT,
        "kept": _TRUTH,
    },
    "asked": _OBJECT,
    "command": _or_null(_TEXTS),
    "base_revision": _or_null(_TEXT),
    "base_weights": {"bytes": _COUNT, "dtype": _TEXT},
    "base_card": _INHERITED,
    "matching": {"tokens": _COUNT},
    "embeddings": _LAYER,
    "seconds": _OBJECT,
    "versions": _OBJECT,
}
_NULLABLE = ("fisher", "matching", "embeddings", "base_weights", "base_card", "gate")
_NEEDED = ("format", "base_model", "base_sha256", "method", "allocate", "parameters", "layers", "fisher")


def check_record(record: dict[str, Any], path: Path) -> None:
    """Refuses a record that lacks a field, or that has something else where a text or a number belongs.

    Args:
        record: the JSON object; fields that are not known here may hold anything.
        path: where it was read.

    Raises:
        CheckpointError: it does; the sentence names the field.
    """
    if record.get("format") != RECORD_FORMAT and _is_count(record.get("format")):
        raise CheckpointError(
            f"{path} has format {record['format']}, this version reads {RECORD_FORMAT}; compress the model again, or "
            "read it with the version that wrote it"
        )
    for name, kind in _FIELDS.items():
        absent = name not in record and name not in _NEEDED
        null = name in _NULLABLE and name in record and record[name] is None
        if not (absent or null):
            _check(record.get(name), kind, name, path)


def _check(value: Any, kind: Any, name: str, path: Path) -> None:
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise _wrong(value, "a list", name, path)
        for number, row in enumerate(value):
            _check(row, kind[0], f"{name}[{number}]", path)
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            raise _wrong(value, _OBJECT.name, name, path)
        for inner, inner_kind in kind.items():
            if inner not in value:
                raise CheckpointError(f"{path}: {name} has no {inner}; compress the model again")
            _check(value[inner], inner_kind, f"{name}.{inner}", path)
    elif not kind.fits(value):
        raise _wrong(value, kind.name, name, path)


def _wrong(value: Any, needed: str, name: str, path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: {name} is {shown(value)}, {needed} is needed; compress the model again")
