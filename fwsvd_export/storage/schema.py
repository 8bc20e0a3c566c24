"""The one layer between a JSON document from outside and a typed record.

A record is a frozen data class whose annotations say what is allowed. Msgspec checks a document against them, strictly:
``"1"`` is not a whole number, ``1`` is not true, ``4.0`` is not 4. What does not fit becomes one sentence that names
the file, the field, the value, what is allowed and what to do. Keys that a record does not know are let through, so
that files of a later version with more in them can be read. ``json_files`` refuses beforehand what is not JSON.

Example:
    >>> from dataclasses import dataclass
    >>> from fwsvd_export.errors import CheckpointError
    >>> @dataclass(frozen=True)
    ... class Row:
    ...     name: Line
    ...     rank: Size | None
    >>> read_as(Row, {"name": "query", "rank": 37}, "row.json", CheckpointError, "write it again")
    Row(name='query', rank=37)
    >>> read_as(Row, {"name": "query", "rank": 0}, "row.json", CheckpointError, "write it again")
    Traceback (most recent call last):
        ...
    fwsvd_export.errors.CheckpointError: row.json: rank is 0, a whole number from 1 to 10^15 or null is needed; \
write it again
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from fwsvd_export.errors import FwsvdExportError, shown

_LARGEST = 10**15  # parameters, examples, tokens, bytes: far above any, and every float holds it exactly
_LONGEST_TEXT = 500
# Control characters, every space but the usual one, ends of lines and paragraphs, format characters (among them those
# that turn the direction of writing), halves of surrogate pairs, and private use
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\ud800-\uf8ff\ufeff\ufff9-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001345f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"
)
ONE_LINE = rf"\A[^{_UNPRINTABLE}]*\Z"

Count = Annotated[int, Meta(ge=0, le=_LARGEST, description="a whole number from 0 to 10^15")]
Size = Annotated[int, Meta(ge=1, le=_LARGEST, description="a whole number from 1 to 10^15")]
Number = Annotated[float, Meta(ge=-float(_LARGEST), le=float(_LARGEST), description="a number within ±10^15")]
Positive = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
Name = Annotated[str, Meta(description="a name")]
Line = Annotated[
    str,
    Meta(
        max_length=_LONGEST_TEXT,
        pattern=ONE_LINE,
        description=f"a text of one line and at most {_LONGEST_TEXT} characters",
    ),
]
Words = tuple[str, ...]
"""A list of texts that may hold anything."""
Shape = Annotated[tuple[Count, Count], Meta(description="[out, in]")]

Record = TypeVar("Record")
_PATH_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]", re.ASCII)
_AT = re.compile(r" - at (?:`key` in )?`\$([^`]*)`\Z")
_MISSING = re.compile(r"\AObject missing required field `(\w+)`")


class Mismatch(ValueError):  # noqa: N818 - it says what a document is, and becomes an error of the caller's
    """What in a document does not fit: a field that is missing, or that holds something else.

    Attributes:
        field: dotted path, such as ``layers[3].rank``; empty for the document itself.
        missing: name of the field that is not there; None when one holds something else.
        value: what the field holds.
        allowed: what it may hold, in words.
    """

    def __init__(self, field: str, *, missing: str | None = None, value: Any = None, allowed: str = "") -> None:
        self.field, self.missing, self.value, self.allowed = field, missing, value, allowed
        super().__init__(f"{field} has no {missing}" if missing else f"{field} is {shown(value)}, {allowed} is needed")


def convert(kind: type[Record], document: Any) -> Record:
    """A document as the record that it should be.

    Args:
        kind: a frozen data class, or a ``TypedDict``.
        document: JSON values.

    Raises:
        Mismatch: it is not one.
    """
    try:
        return msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _located(kind, document, str(error)) from None


def read_as(kind: type[Record], document: Any, place: str, error_class: type[FwsvdExportError], remedy: str) -> Record:
    """As ``convert``; what does not fit is said in one sentence of the caller's error class.

    Args:
        kind: a frozen data class, or a ``TypedDict``.
        document: JSON values.
        place: the file, as the user knows it.
        error_class: of the errors.
        remedy: what to do, the end of the sentence.
    """
    try:
        return convert(kind, document)
    except Mismatch as found:
        raise error_class(f"{sentence(found, place)}; {remedy}") from None


def sentence(found: Mismatch, place: str) -> str:
    """What does not fit in a file, without a remedy."""
    if found.missing:
        return f"{place}: {found.field} has no {found.missing}" if found.field else f"{place} has no {found.missing}"
    subject = f"{place}: {found.field}" if found.field else place
    return f"{subject} is {shown(found.value)}, {found.allowed} is needed"


def check_format(
    document: Mapping[str, Any], newest: int, place: str, error_class: type[FwsvdExportError], remedy: str
) -> None:
    """Refuses a record of a later format, and names the version that wrote it where the record does.

    Args:
        document: a JSON object; a ``format`` that is not a whole number is left to ``read_as``.
        newest: the format that this version writes.
        place: the file, as the user knows it.
        error_class: of the error.
        remedy: what else can be done.
    """
    found = document.get("format")
    if type(found) is not int or found == newest:
        return
    versions = document.get("versions")
    writer = versions.get("fwsvd-export") if isinstance(versions, dict) else None
    known = isinstance(writer, str) and re.fullmatch(r"[\w.+-]{1,40}", writer, re.ASCII)
    by = f"read it with fwsvd-export {writer}, which wrote it" if known else "read it with the version that wrote it"
    raise error_class(f"{place} has format {shown(found)}, this version reads {newest}; {by}, or {remedy}")


def to_builtins(record: Any) -> Any:
    """A record as the JSON values that reading its file again gives: data classes become objects, tuples lists."""
    return _with_lists(asdict(record))


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(inner) for key, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class _Place:
    """A value in a document, with what msgspec knows of the type it should have."""

    field: str
    value: Any
    type: inspect.Type

    def inside(self, step: re.Match[str]) -> _Place:
        """The place one step further down."""
        name, index = step[1], step[2]
        for member in _members(self.type):
            if name is not None and isinstance(member, inspect.DataclassType | inspect.TypedDictType):
                kind = next(field.type for field in member.fields if field.name == name)
                return _Place(f"{self.field}.{name}".removeprefix("."), self.value[name], kind)
            if index is not None and isinstance(member, inspect.ListType | inspect.VarTupleType):
                return _Place(f"{self.field}[{index}]", self.value[int(index)], member.item_type)
            if index is not None and isinstance(member, inspect.TupleType):
                return _Place(f"{self.field}[{index}]", self.value[int(index)], member.item_types[int(index)])
        raise LookupError(step[0])


def _located(kind: Any, document: Any, message: str) -> Mismatch:
    """The place in the document that msgspec's message is about, described in our words."""
    at, missing = _AT.search(message), _MISSING.match(message)
    place = _Place("", document, inspect.type_info(kind))
    for step in _PATH_STEP.finditer(at[1] if at else ""):
        if step[0] == "[...]":  # msgspec does not say which entry of a map it is
            return _inside_map(place)
        place = place.inside(step)
    if missing:
        return Mismatch(place.field, missing=missing[1])
    return Mismatch(place.field, value=place.value, allowed=_words(place.type))


def _inside_map(place: _Place) -> Mismatch:
    """Of a map of records the entry that does not fit, of another map the map itself."""
    kinds = [member.value_type for member in _members(place.type) if isinstance(member, inspect.DictType)]
    for key, value in place.value.items():
        for kind in kinds:
            if isinstance(kind, inspect.DataclassType):
                try:
                    convert(kind.cls, value)
                except Mismatch as found:
                    field = f"{place.field}.{shown(key)[1:-1]}"
                    inner = f".{found.field}" if found.field else ""
                    return Mismatch(field + inner, missing=found.missing, value=found.value, allowed=found.allowed)
    return Mismatch(place.field, value=place.value, allowed=_words(place.type))


def _members(kind: inspect.Type) -> Sequence[inspect.Type]:
    """The alternatives of a type, or the type itself."""
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [inner for member in kind.types for inner in _members(member)]
    return [kind]


def _words(kind: inspect.Type) -> str:
    """What a type allows, as a sentence says it."""
    if isinstance(kind, inspect.Metadata):
        return str((kind.extra_json_schema or {}).get("description") or _words(kind.type))
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(_words(member) for member in kind.types))
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(map(str, kind.values))
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        texts = isinstance(kind.item_type, inspect.StrType)
        return "a list of texts" if texts else "a list"
    return next((words for known, words in _TYPE_WORDS.items() if isinstance(kind, known)), "another value")


_TYPE_WORDS: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "a text",
    inspect.DictType: "an object",
    inspect.DataclassType: "an object",
    inspect.TypedDictType: "an object",
}
