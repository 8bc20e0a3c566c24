"""JSON lines that stay in their file: of every row only the place where its line begins is kept in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsvd_export.data.json_rows import is_row, row_of
from fwsvd_export.data.table import Table
from fwsvd_export.data.text import decoded, reported

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 2**28  # bytes; the rows of smaller files are read once and kept
AT_ONCE = 2**14  # rows that are in memory together


@dataclass(frozen=True)
class LineTable:
    """The rows of a file that is larger than one wants to hold, used as ``Table`` is.

    Attributes:
        file: in UTF-8, one JSON object per line.
        starts: of the rows' lines, in bytes, int64.
        column_names: that any row has, in the order in which they come.
    """

    file: Path
    starts: NDArray[np.int64]
    column_names: Sequence[str]

    header = False

    @property
    def features(self) -> Mapping[str, None]:
        """The type of every column: a text file tells none."""
        return dict.fromkeys(self.column_names)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, column: str) -> Sequence[Any]:
        return [row.get(column) for row in self._rows(self.starts)]

    def select(self, places: Sequence[int]) -> LineTable | Table:
        """The rows at some places: in memory where they are no more than ``AT_ONCE``."""
        starts = self.starts[np.asarray(places, dtype=np.int64)]
        if len(starts) > AT_ONCE:
            return LineTable(self.file, starts, self.column_names)
        return self._table(starts)

    def _table(self, starts: NDArray[np.int64]) -> Table:
        rows = list(self._rows(starts))
        return Table({name: [row.get(name) for row in rows] for name in self.column_names})

    def read(self) -> Table:
        """All rows, in memory."""
        return self._table(self.starts)

    def _rows(self, starts: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        with reported(self.file), self.file.open("rb") as stream:
            for number, start in enumerate(starts.tolist(), start=1):
                stream.seek(start)
                yield row_of(decoded(stream.readline(), self.file).removesuffix("\n"), self.file, number)


def line_table(file: Path) -> LineTable | None:
    """Reads every line of a file once, and keeps none; None for a file that does not begin with a row on one line.

    Raises:
        DataError: the file cannot be read; a line that is not UTF-8, not JSON, or no object.
    """
    starts, names, position = array("q"), dict[str, None](), 0
    with reported(file), file.open("rb") as stream:
        for number, content in enumerate(stream, start=1):
            if not starts and content.strip() and not is_row(content):
                return None
            line = decoded(content, file, number).removesuffix("\n")
            if line.strip():
                names |= dict.fromkeys(row_of(line, file, len(starts) + 1))
                starts.append(position)
            position += len(content)
    # One object alone may be a whole document, which is read as such
    return LineTable(file, np.frombuffer(starts, dtype=np.int64), list(names)) if len(starts) > 1 else None
