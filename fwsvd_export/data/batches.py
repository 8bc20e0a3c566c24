"""Encoded examples, sorted by length and padded batch by batch."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from transformers import DataCollatorWithPadding

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.inputs import IDS, IGNORED_LABEL
from fwsvd_export.data.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECOND = "second"  # the key of a row's second text, where each text is a sequence; in a batch it follows all first ones


class OnDisk(Protocol):
    """Encoded examples that are not in memory (``stored_rows.StoredRows``)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every example."""

    def select(self, places: Sequence[int]) -> OnDisk:
        """The examples at some places."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Mapping[str, Any]]: ...

    def __getitem__(self, place: Any) -> Any: ...


Encoded = list[dict[str, Any]] | OnDisk


class Batches(Sequence[dict[str, Tensor]]):
    """Padded batches of encoded examples, the longest examples together; padding is done when a batch is taken.

    Args:
        encoded: the examples, as the tokenizer gives them, with their labels; or such that stay on disk.
        tokenizer: pads them.
        batch_size: examples per batch.
        task: of the examples, with the names of its classes where the data has them and the model does not.
        indices: of the examples among all rows that were chosen; None for 0, 1, …
        embed: how the hidden states of the model that the examples were encoded for become embeddings.

    Attributes:
        task: as it was given.
        embed: as it was given.
        examples: how many there are.
        indices: of the examples, in the order of the batches.
    """

    def __init__(
        self,
        encoded: Encoded,
        tokenizer: Any,
        batch_size: int,
        task: Task,
        indices: Sequence[int] | None = None,
        embed: Embed = mean_pooled,
    ) -> None:
        self.task = task
        self.embed = embed
        order = _by_length(encoded)
        self._encoded = selected(encoded, order)
        self.indices: Sequence[int] = array("q", order if indices is None else (indices[place] for place in order))
        self._tokenizer = tokenizer
        self._pad = DataCollatorWithPadding(tokenizer)
        self._batch_size = batch_size
        self.examples = len(encoded)

    @property
    def token_ids(self) -> set[tuple[int, ...]]:
        """Of every example."""
        return {tuple(text[IDS]) for row in self._encoded for text in _texts(row)}

    def among(self, token_ids: Collection[tuple[int, ...]]) -> set[tuple[int, ...]]:
        """Those of some texts' token ids that are of an example here."""
        return {ids for row in self._encoded for text in _texts(row) if (ids := tuple(text[IDS])) in token_ids}

    def without(self, seen: Collection[tuple[int, ...]]) -> Batches:
        """The examples with a text whose token ids are not among those seen, in batches of the same size."""
        unseen = [any(tuple(text[IDS]) not in seen for text in _texts(row)) for row in self._encoded]
        return self._of([place for place, kept in enumerate(unseen) if kept])

    def spread(self, examples: int) -> Batches:
        """So many examples at even distances, so that they are of all lengths; all where there are no more."""
        count = min(examples, self.examples)
        return self._of([int((number + 0.5) * self.examples / count) for number in range(count)])

    def labelled(self, labels: Mapping[int, Any]) -> Batches:
        """The same examples with other labels.

        Args:
            labels: number of an example among all rows that were chosen -> its label.
        """
        rows = [{**row, "labels": labels[index]} for row, index in zip(self._encoded, self.indices, strict=True)]
        return Batches(rows, self._tokenizer, self._batch_size, self.task, self.indices, self.embed)

    def _of(self, places: Sequence[int]) -> Batches:
        """The examples at some places, in batches of the same size."""
        rows, indices = selected(self._encoded, places), [self.indices[place] for place in places]
        return Batches(rows, self._tokenizer, self._batch_size, self.task, indices, self.embed)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._batch(self._encoded[index * self._batch_size : (index + 1) * self._batch_size])

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Some examples as one padded batch."""
        labels = [row["labels"] for row in rows if "labels" in row]
        inputs = [text for texts in zip(*map(_texts, rows), strict=True) for text in texts]
        batch = dict(self._pad(inputs))
        if labels and self.task.labels == "tokens":
            width = batch["input_ids"].shape[1]
            labels = [row + [IGNORED_LABEL] * (width - len(row)) for row in labels]
        if labels:
            batch["labels"] = torch.tensor(labels)
        return batch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[index] for index in range(len(self)))


def _by_length(encoded: Encoded) -> Sequence[int]:
    """The places of some examples, the shortest first, those of one length in their order."""
    if isinstance(encoded, list):
        return sorted(range(len(encoded)), key=lambda place: len(encoded[place][IDS]))
    return array("q", encoded.lengths.argsort(kind="stable").tobytes())


def selected(encoded: Encoded, places: Sequence[int]) -> Encoded:
    """The examples at some places, where they are."""
    return [encoded[place] for place in places] if isinstance(encoded, list) else encoded.select(places)


def _texts(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the tokenizer gave of a row's sequence, or of its two texts that are sequences of their own."""
    first = {name: value for name, value in row.items() if name not in ("labels", SECOND)}
    return [first, row[SECOND]] if SECOND in row else [first]
