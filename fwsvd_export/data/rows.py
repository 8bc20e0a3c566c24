"""The rows that a request chooses; every row keeps its number in the user's file."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch

from fwsvd_export.data.files import read_file
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, listed, message_of, shown
from fwsvd_export.wording import counted

HELD_OUT_PART = 5  # one in so many rows is for validation when calibration would otherwise take all
HELD_OUT_ROWS = 2000  # for validation at most
HELD_OUT_QUERIES = 100  # likewise, of which each is ranked with all its texts
_HELD_OUT_SEED = 0  # of rows that stay the same whatever else is drawn


@dataclass(frozen=True)
class Rows:
    """Rows of one file or data set.

    Attributes:
        table: a ``Table`` or a ``datasets.Dataset``.
        name: of the data, for messages.
        numbers: of the rows in the file, counted from 1. Headers and blank lines are not rows; a sentence of CoNLL is.
        unit: what a row is to the user: a nested file of questions has no rows.
        lacks_answers: of questions: whether any in the data has no answer.
        groups: what tells rows that belong together from others, where no column of the task does: the id of a query.
    """

    table: Any
    name: str
    numbers: Sequence[int]
    unit: str = "row"
    lacks_answers: bool = False
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.table)

    def select(self, places: Sequence[int]) -> Rows:
        """The rows at some places."""
        numbers = array("q", (self.numbers[place] for place in places))
        groups = None if self.groups is None else [self.groups[place] for place in places]
        return replace(self, table=self.table.select(places), numbers=numbers, groups=groups)

    def column(self, name: str) -> list[Any]:
        """The cells of a column.

        Raises:
            DataError: it is not there.
        """
        names = self.table.column_names
        if name not in names:
            header = "; the first line of the file is its header" if getattr(self.table, "header", False) else ""
            raise DataError(
                f"{self.name} has no column {shown(name)}; it has {listed(names)}: "
                f"name the right ones with --text-column, --text-pair-column and --label-column{header}"
            )
        return list(self.table[name])

    @property
    def judgements(self) -> Mapping[str, Mapping[str, int]] | None:
        """What is known of the rows that no column says; None for nothing."""
        return None

    def place(self, index: int) -> str:
        """The row at a place, as a message names it."""
        return f"{self.name}, {self.unit} {self.numbers[index]:,}"


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
    """``max_samples`` of the rows, chosen by the seed, in their order; all of them where there are no more.

    Rows that a ranking is measured on are chosen query by query.

    Raises:
        DataError: no query has so few rows.
    """
    if request.max_samples is None or request.max_samples >= len(rows):
        return rows
    order = _shuffled(len(rows), request.seed)
    if request.task.labels != "rank" or request.task.label is None:
        return rows.select(_in_order(order[: request.max_samples]))
    chosen, _ = _taken(_groups(rows, request.task, order.tolist()), request.max_samples)
    if not chosen:
        raise DataError(
            f"every query of {rows.name} has more than {counted(request.max_samples, 'row')}, and what is ranked "
            "together is chosen together; raise --max-samples"
        )
    return rows.select(sorted(chosen))


def _groups(rows: Rows, task: Task, order: Sequence[int]) -> list[list[int]]:
    """The places of rows that belong together, in an order of all places; every row alone where none do."""
    column = task.grouped_by
    cells: Sequence[Any] = range(len(rows)) if column is None else rows.groups or rows.column(column)
    members: dict[Any, list[int]] = {}
    for place in order:
        key = cells[place] if isinstance(cells[place], str) else place  # what is no text is refused when it is read
        members.setdefault(key, []).append(place)
    return list(members.values())


def _taken(groups: Sequence[list[int]], most: int) -> tuple[list[int], list[list[int]]]:
    """The places of whole groups, those that fit into so many in their order, and the groups that are left."""
    taken: list[int] = []
    left = []
    for members in groups:
        if len(taken) + len(members) <= most:
            taken += members
        else:
            left.append(members)
    return taken, left


def split_rows(rows: Rows, request: DataRequest) -> tuple[Rows, Rows]:
    """The rows for calibration, and others for validation; questions about one context are not in both.

    Calibration gets the ``max_samples`` that it would have without a split; where it would have all, one row or context
    in five is left to validation, at most 2,000. A collection that is searched is not split; what is ranked for one
    query is in one part, whole.

    Raises:
        DataError: none can be held out, as calibration needs all rows, or questions about every context.
    """
    task = request.task
    if task.labels == "retrieval":  # a collection is searched whole, and no judgement is calibrated on
        return chosen_rows(rows, request), rows
    order = _shuffled(len(rows), request.seed)
    if task.labels == "rank":
        return _split_queries(rows, request, order.tolist())
    most = request.max_samples if request.max_samples is not None and request.max_samples < len(rows) else None
    if task.labels == "span":
        chosen, rest = _split_contexts(rows.column(str(task.text_pair)), order.tolist(), most)
    else:
        chosen, rest = order.tensor_split([len(rows) - _held_out_of(len(rows)) if most is None else most])
    if len(chosen) == 0 or len(rest) == 0:
        raise DataError(
            f"{rows.name} has no {'context' if task.labels == 'span' else 'row'} that calibration leaves for "
            "validation; give other data with --validation, or lower --max-samples"
        )
    return rows.select(_in_order(chosen)), rows.select(_in_order(rest[:HELD_OUT_ROWS]))


def _shuffled(rows: int, seed: int) -> torch.Tensor:
    """The places of so many rows in an order of the seed, int64."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed))


def _in_order(places: torch.Tensor) -> Sequence[int]:
    return array("q", places.sort().values.numpy().tobytes())  # eight bytes each, where a list takes forty


def _held_out_of(rows: int) -> int:
    """How many of so many rows, or contexts, are for validation where calibration would take all."""
    return max(1, min(rows // HELD_OUT_PART, HELD_OUT_ROWS))


def _split_contexts(
    contexts: Sequence[str], order: Sequence[int], most: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The places of questions for calibration, and of others about other contexts, in their order."""
    contexts_of = {row: contexts[row] for row in order}
    if most is None:
        shuffled = list(dict.fromkeys(contexts_of.values()))
        calibrated = set(shuffled[: len(shuffled) - _held_out_of(len(shuffled))])
        chosen = [row for row in order if contexts_of[row] in calibrated]
    else:
        chosen = list(order[:most])
        calibrated = {contexts_of[row] for row in chosen}
    rest = [row for row in order if contexts_of[row] not in calibrated]
    return torch.tensor(chosen, dtype=torch.int64), torch.tensor(rest, dtype=torch.int64)


def _split_queries(rows: Rows, request: DataRequest, order: Sequence[int]) -> tuple[Rows, Rows]:
    """As ``split_rows``, query by query."""
    groups = _groups(rows, request.task, order)
    chosen, left = _taken(groups, request.max_samples or len(rows))
    if not left:
        left, kept = _held_out_queries(groups)
        chosen = list(chain(*kept))
    rest = list(chain(*left[:HELD_OUT_QUERIES]))
    if not chosen or not rest:
        raise DataError(
            f"{rows.name} has no query for calibration with all its texts, and another for validation; give other data "
            "with --validation, or a larger --max-samples"
        )
    return rows.select(sorted(chosen)), rows.select(sorted(rest))


def _held_out_queries(groups: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The last of the queries, and those before them."""
    count = max(1, min(len(groups) // HELD_OUT_PART, HELD_OUT_QUERIES))
    return groups[-count:], groups[:-count]


def _held_out_rows(groups: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The last of the groups, one at least and as many as the share of the rows allows, and those before them."""
    most = min(sum(map(len, groups)) // HELD_OUT_PART, HELD_OUT_ROWS)
    count = 1
    while count < len(groups) and sum(map(len, groups[-count - 1 :])) <= most:
        count += 1
    return groups[-count:], groups[:-count]


def hold_out(rows: Rows, task: Task) -> tuple[Rows, Rows]:
    """The rows to use, and others that are left out: one in five, at most 2,000, the same ones whatever a seed is.

    Questions about one context are not in both, nor are texts that are ranked for one query. Each part keeps the order
    of the rows. A collection that is searched is not split: both parts are all of it.

    Raises:
        DataError: there is one row, or there are questions about one context or texts for one query alone.
    """
    if task.labels == "retrieval":
        return rows, rows
    order = _shuffled(len(rows), _HELD_OUT_SEED).tolist()
    groups = _groups(rows, task, order)
    left_out, kept = (_held_out_queries if task.labels == "rank" else _held_out_rows)(groups)
    if not kept:
        raise DataError(
            f"{rows.name} has {counted(len(rows), 'row')}, of which none can be held out and the others used; give more"
        )
    return rows.select(sorted(chain(*kept))), rows.select(sorted(chain(*left_out)))


def shard_of(rows: Rows, shard: tuple[int, int]) -> tuple[Rows, range]:
    """The rows of the i-th of n shares, and their places among all of them.

    Raises:
        DataError: the shard has no rows.
    """
    part, parts = shard
    places = range(part - 1, len(rows), parts)
    if not places:
        there = counted(len(rows), "row")
        raise DataError(f"shard {part}/{parts} of {rows.name} is empty: it has {there}; make fewer shards")
    return (rows if parts == 1 else rows.select(places)), places
