"""The rows that a request chooses; every row keeps its number in the user's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fwsvd_export.data.files import read_file
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import DataError, message_of

HELD_OUT_PART = 5  # one in so many rows is for validation when calibration would otherwise take all
HELD_OUT_ROWS = 2000  # for validation at most


@dataclass(frozen=True)
class Rows:
    """Rows of one file or data set.

    Attributes:
        table: a ``Table`` or a ``datasets.Dataset``.
        name: of the data, for messages.
        numbers: of the rows in the file, counted from 1. Headers and blank lines are not rows; a sentence of CoNLL is.
    """

    table: Any
    name: str
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.table)

    def select(self, places: Sequence[int]) -> Rows:
        """The rows at some places."""
        return Rows(self.table.select(places), self.name, [self.numbers[place] for place in places])

    def place(self, index: int) -> str:
        """The row at a place, as a message names it."""
        return f"{self.name}, row {self.numbers[index]:,}"


def read_rows(request: DataRequest) -> Rows:
    """All rows of the data.

    Raises:
        DataError: the data is missing, empty, of an unknown kind or malformed.
    """
    import datasets

    datasets.disable_progress_bars()
    if request.file is not None:
        table = read_file(request.file, request.task, request.split)
    else:
        identifier, _, configuration = str(request.dataset).partition(":")
        try:
            table = datasets.load_dataset(identifier, configuration or None, split=request.split or "train")
        except Exception as error:  # the Hub's client and the readers raise many kinds
            raise DataError(f"dataset {request.dataset} cannot be read: {message_of(error)}") from error
    if len(table) == 0:
        raise DataError(f"{request.name} is empty: at least one row is needed")
    return Rows(table, request.name, range(1, len(table) + 1))


def chosen_rows(rows: Rows, request: DataRequest) -> Rows:
    """``max_samples`` of the rows, chosen by the seed, in their order; all of them where there are no more."""
    if request.max_samples is None or request.max_samples >= len(rows):
        return rows
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(request.seed))
    return rows.select(sorted(order[: request.max_samples].tolist()))


def split_rows(rows: Rows, request: DataRequest) -> tuple[Rows, Rows]:
    """The rows for calibration, and others for validation.

    Calibration gets the ``max_samples`` that it would have without a split, or four fifths when it would have all.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(request.seed)).tolist()
    cut = request.max_samples if request.max_samples is not None and request.max_samples < len(rows) else None
    cut = len(rows) - max(1, len(rows) // HELD_OUT_PART) if cut is None else cut
    return rows.select(sorted(order[:cut])), rows.select(sorted(order[cut : cut + HELD_OUT_ROWS]))


def shard_of(rows: Rows, shard: tuple[int, int]) -> tuple[Rows, range]:
    """The rows of the i-th of n shares, and their places among all of them.

    Raises:
        DataError: the shard has no rows.
    """
    part, parts = shard
    places = range(part - 1, len(rows), parts)
    if not places:
        raise DataError(f"shard {part}/{parts} of {rows.name} is empty: it has {len(rows)} rows; make fewer shards")
    return (rows if parts == 1 else rows.select(places)), places
