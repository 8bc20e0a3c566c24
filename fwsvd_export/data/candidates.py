"""Pairs of a query and a text that are ranked query by query."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.data.batches import Encoded, selected
from fwsvd_export.data.read_batches import ReadBatches
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, DataWarning
from fwsvd_export.wording import counted


class CandidateBatches(ReadBatches):
    """Padded batches of pairs, which know what query each pair is of.

    Attributes:
        queries: number of an example among all rows that were chosen -> its query.
    """

    def __init__(
        self,
        encoded: Encoded,
        tokenizer: Any,
        batch_size: int,
        task: Task,
        indices: Sequence[int],
        reading: Reading,
        queries: Mapping[int, str],
    ) -> None:
        super().__init__(encoded, tokenizer, batch_size, task, indices, reading)
        self.queries = queries

    def without(self, seen: Collection[tuple[int, ...]]) -> CandidateBatches:
        """The queries of which no pair's token ids are among those seen: the others' lists would have holes."""
        pairs = zip(self.indices, self._encoded, strict=True)
        known = {self.queries[index] for index, row in pairs if tuple(row[IDS]) in seen}
        return self._of([place for place, index in enumerate(self.indices) if self.queries[index] not in known])

    def _of(self, places: Sequence[int]) -> CandidateBatches:
        rows, indices = selected(self._encoded, places), [self.indices[place] for place in places]
        return CandidateBatches(rows, self._tokenizer, self._batch_size, self.task, indices, self.reading, self.queries)


def check_answered(queries: Sequence[str], grades: Sequence[int], name: str) -> None:
    """Refuses pairs that no ranking can be measured on.

    Args:
        queries: of the pairs.
        grades: likewise, above 0 for an answer.
        name: of the data.

    Raises:
        DataError: no query has an answer.

    Warns:
        DataWarning: some have none.
    """
    answered = {query for query, grade in zip(queries, grades, strict=True) if grade > 0}
    asked = len(set(queries))
    if not answered:
        raise DataError(
            f"none of the {counted(len(queries), 'pair')} of {name} that are used answers its query: all their labels "
            "are 0; give pairs of which some have a label above 0"
        )
    if missing := asked - len(answered):
        warnings.warn(
            f"{missing:,} of {asked:,} queries of {name} have no text with a label above 0, and are not measured.",
            DataWarning,
            stacklevel=2,
        )
