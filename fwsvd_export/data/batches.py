"""Encoded examples, sorted by length and padded batch by batch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DataCollatorWithPadding

from fwsvd_export.data.tasks import Task

IGNORED_LABEL = -100  # transformers' mark for tokens without a label


class Batches(Sequence[dict[str, Tensor]]):
    """Padded batches of encoded examples, the longest examples together; padding is done when a batch is taken.

    Args:
        encoded: the examples, as the tokenizer gives them, with their labels.
        tokenizer: pads them.
        batch_size: examples per batch.
        task: of the examples, with the names of its classes where the data has them and the model does not.
        indices: of the examples among all rows that were chosen; None for 0, 1, …

    Attributes:
        task: as it was given.
        examples: how many there are.
        indices: of the examples, in the order of the batches.
    """

    def __init__(
        self,
        encoded: list[dict[str, Any]],
        tokenizer: Any,
        batch_size: int,
        task: Task,
        indices: Sequence[int] | None = None,
    ) -> None:
        self.task = task
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]["input_ids"]))
        self._encoded = [encoded[place] for place in order]
        self.indices = tuple(order if indices is None else (indices[place] for place in order))
        self._tokenizer = tokenizer
        self._pad = DataCollatorWithPadding(tokenizer)
        self._batch_size = batch_size
        self.examples = len(encoded)

    @property
    def token_ids(self) -> set[tuple[int, ...]]:
        """Of every example."""
        return {tuple(row["input_ids"]) for row in self._encoded}

    def without(self, seen: Collection[tuple[int, ...]]) -> Batches:
        """The examples whose token ids are not among those seen, in batches of the same size."""
        left = [place for place, row in enumerate(self._encoded) if tuple(row["input_ids"]) not in seen]
        rows, indices = [self._encoded[place] for place in left], [self.indices[place] for place in left]
        return Batches(rows, self._tokenizer, self._batch_size, self.task, indices)

    def spread(self, examples: int) -> Batches:
        """So many examples at even distances, so that they are of all lengths; all where there are no more."""
        count = min(examples, self.examples)
        places = [int((number + 0.5) * self.examples / count) for number in range(count)]
        rows, indices = [self._encoded[place] for place in places], [self.indices[place] for place in places]
        return Batches(rows, self._tokenizer, self._batch_size, self.task, indices)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._batch(self._encoded[index * self._batch_size : (index + 1) * self._batch_size])

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Some examples as one padded batch."""
        labels = [row["labels"] for row in rows if "labels" in row]
        inputs = [{name: value for name, value in row.items() if name != "labels"} for row in rows]
        batch = dict(self._pad(inputs))
        if labels and isinstance(labels[0], list):
            width = batch["input_ids"].shape[1]
            labels = [row + [IGNORED_LABEL] * (width - len(row)) for row in labels]
        if labels:
            batch["labels"] = torch.tensor(labels)
        return batch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[index] for index in range(len(self)))
