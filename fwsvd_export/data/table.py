"""The cells of a local file, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """What the readers of text files hand on, used as a ``datasets.Dataset`` is.

    Unlike a data set it keeps every cell as the file has it: one column may hold numbers in one row and texts in
    another, so that a cell that does not fit is found where its row is known.

    Attributes:
        columns: name -> a cell per row; None where the row has none.
        header: whether the names are the file's first line, and not beside every cell.
    """

    columns: Mapping[str, Sequence[Any]]
    header: bool = False

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Table:
        """Of rows that may lack some of the others' names."""
        names = {name: None for row in rows for name in row}
        return cls({name: [row.get(name) for row in rows] for name in names})

    @property
    def column_names(self) -> list[str]:
        """In the file's order."""
        return list(self.columns)

    @property
    def features(self) -> Mapping[str, None]:
        """The type of every column: a text file tells none."""
        return dict.fromkeys(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, column: str) -> Sequence[Any]:
        return self.columns[column]

    def select(self, places: Sequence[int]) -> Table:
        """The rows at some places."""
        return Table({name: [cells[place] for place in places] for name, cells in self.columns.items()}, self.header)
