"""The rows that can be used: what a reader makes of each, and what is done about one that it refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from fwsvd_export.errors import DataError, RowError
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.data.rows import Rows

Item = TypeVar("Item")
WITHOUT_TEXT = "without a text"  # the reason of a row's error


@dataclass(frozen=True)
class Usable(Generic[Item]):
    """What was made of some rows.

    Attributes:
        found: of every row that can be used; nothing where none can.
        places: of these rows among all.
        skipped: why rows were left out -> how many.
        first_skipped: the sentence about the first of them.
    """

    found: list[Item]
    places: list[int]
    skipped: Mapping[str, int]
    first_skipped: str

    def checked(self, rows: Rows) -> Usable[Item]:
        """The same, where any row can be used; raises as ``check_any``."""
        check_any(len(self.found), rows, self.first_skipped)
        return self


def check_any(found: int, rows: Rows, first_skipped: str) -> None:
    """Refuses rows of which none can be used.

    Raises:
        DataError: none was found.
    """
    if not found:
        asked = counted(len(rows), rows.unit)
        raise DataError(
            f"no {rows.unit} of {rows.name} can be used ({asked}), so nothing is left; the first: {first_skipped}"
        )


def read_usable(rows: Rows, read: Callable[[int], Item], on_bad_row: str) -> Usable[Item]:
    """Reads every row.

    Args:
        rows: of the data.
        read: place -> what is made of the row there; raises a ``RowError`` where it cannot be used.
        on_bad_row: "stop" for an error at such a row, "skip" to leave it out.

    Raises:
        DataError: a row that cannot be used, and rows are not to be left out.
    """
    found, places, skipped = [], [], Counter[str]()
    first = ""
    for index in range(len(rows)):
        try:
            found.append(read(index))
        except RowError as error:
            if on_bad_row == "stop":
                raise DataError(f"{error}; correct it, or leave such rows out with --on-bad-row skip") from error
            skipped[error.reason] += 1
            first = first or str(error)
        else:
            places.append(index)
    return Usable(found, places, skipped, first)
