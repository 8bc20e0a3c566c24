"""Rows that are hard to write and to read, and the batches made of them."""

from __future__ import annotations

from typing import Any

import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.batches import Batches
from tests.helpers import tiny_head

Rows = list[dict[str, Any]]


# A quotation mark without a partner, a comma, words that tables take for missing values, letters beyond ASCII
TEXTS = [
    'a "good film',
    "not bad, but dull",
    "null",
    "NA",
    "très fine",
    "the plot never was great and the cast was poor",
]


ROWS: Rows = [{"sentence": text, "label": index % 2} for index, text in enumerate(TEXTS)]


def encoder_with(class_name: str = "BertForSequenceClassification", **settings: Any) -> Encoder:
    """Of a small BERT with these settings."""
    return encoder_of(tiny_head(class_name, **settings))


ENCODER = encoder_with(num_labels=2)


def assert_same(left: Batches, right: Batches) -> None:
    assert len(left) == len(right)
    for mine, its in zip(left, right, strict=True):
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in mine)


def rows_of(batches: Batches, name: str) -> list[list[int]]:
    """One feature of every example without its padding."""
    return [
        row[mask.bool()].tolist()
        for batch in batches
        for row, mask in zip(batch[name], batch["attention_mask"], strict=True)
    ]
