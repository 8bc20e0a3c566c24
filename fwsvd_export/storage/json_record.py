"""Records that are the whole content of a JSON file: frozen data classes that read and write themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import FwsvdExportError
from fwsvd_export.storage.schema import check_format, read_as, to_builtins

if TYPE_CHECKING:
    from typing_extensions import Self


class JsonRecord:
    """Reading and writing of a frozen data class that is the content of a file.

    A class says without annotations, so that they are not fields: ``remedy``, what to do about a file that does not fit
    (the end of a sentence); and where it has a field ``format``, ``newest_format``, the one that this version writes.

    Example:
        >>> from dataclasses import dataclass
        >>> from fwsvd_export.errors import DataError
        >>> @dataclass(frozen=True)
        ... class Row(JsonRecord):
        ...     rank: int
        ...     remedy = "write it again"
        >>> Row(3).to_json(), Row.from_json({"rank": 3}, "row.json", DataError)
        ({'rank': 3}, Row(rank=3))
        >>> Row.from_json({"rank": "3"}, "row.json", DataError)
        Traceback (most recent call last):
            ...
        fwsvd_export.errors.DataError: row.json: rank is '3', a whole number is needed; write it again
    """

    remedy = ""
    newest_format = 0  # of a record that has no field ``format``

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str, error_class: type[FwsvdExportError]) -> Self:
        """The record in a JSON object.

        Args:
            document: as it was read.
            place: the file, as the user knows it.
            error_class: of the errors.

        Raises:
            FwsvdExportError: of that class: a later format, or a field that is missing or holds something else.
        """
        if cls.newest_format:
            check_format(document, cls.newest_format, place, error_class, cls.remedy)
        return read_as(cls, document, place, error_class, cls.remedy)

    def to_json(self) -> dict[str, Any]:
        """As it stands in its file."""
        content: dict[str, Any] = to_builtins(self)
        return content
