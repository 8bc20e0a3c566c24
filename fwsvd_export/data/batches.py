"""Encoded examples, sorted by length and padded batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DataCollatorWithPadding

IGNORED_LABEL = -100  # transformers' mark for tokens without a label


class Batches(Sequence[dict[str, Tensor]]):
    """Padded batches of encoded examples, the longest examples together; padding is done when a batch is taken."""

    def __init__(self, encoded: list[dict[str, Any]], tokenizer: Any, batch_size: int) -> None:
        self._encoded = sorted(encoded, key=lambda row: len(row["input_ids"]))
        self._pad = DataCollatorWithPadding(tokenizer)
        self._batch_size = batch_size
        self.examples = len(encoded)

    def without(self, others: Batches) -> Batches:
        """The examples whose tokens are not also those of an example of others, in batches of the same size."""
        seen = {tuple(row["input_ids"]) for row in others._encoded}
        left = [row for row in self._encoded if tuple(row["input_ids"]) not in seen]
        return Batches(left, self._pad.tokenizer, self._batch_size)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._encoded[index * self._batch_size : (index + 1) * self._batch_size]
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
