"""Batches of rows that were read, with what became of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.data.batches import Batches, Encoded
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.tasks import Task


class ReadBatches(Batches):
    """Batches of rows that were read.

    Attributes:
        reading: what became of the rows.
    """

    def __init__(
        self,
        encoded: Encoded,
        tokenizer: Any,
        batch_size: int,
        task: Task,
        indices: Sequence[int],
        reading: Reading,
        embed: Embed = mean_pooled,
    ) -> None:
        super().__init__(encoded, tokenizer, batch_size, task, indices, embed)
        self.reading = reading
