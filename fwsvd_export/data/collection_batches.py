"""Batches of all texts of a collection, which know what is searched for what."""

from __future__ import annotations

from collections.abc import Collection as Ids
from collections.abc import Sequence
from typing import Any

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.data.collection import Collection
from fwsvd_export.data.read_batches import ReadBatches
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.tasks import Task


class CollectionBatches(ReadBatches):
    """Batches of the texts of a collection: documents are numbered first, then queries.

    Attributes:
        collection: None where some of its texts were chosen, so that nothing can be searched.
    """

    def __init__(
        self,
        encoded: list[dict[str, Any]],
        tokenizer: Any,
        batch_size: int,
        task: Task,
        indices: Sequence[int],
        reading: Reading,
        collection: Collection | None,
        embed: Embed = mean_pooled,
    ) -> None:
        super().__init__(encoded, tokenizer, batch_size, task, indices, reading, embed)
        self.collection = collection

    def without(self, seen: Ids[tuple[int, ...]]) -> CollectionBatches:
        """Itself: a collection is searched whole, whatever texts of it a model was calibrated on."""
        return self
