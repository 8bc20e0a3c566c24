"""Rows become examples; a row that does not fit is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwsvd_export.data.batches import Batches
from tests.data.sentences import ROWS, rows_of


def test_labels_stay_with_their_texts(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=4)
    labels = [label for batch in batches for label in batch["labels"].tolist()]
    expected = [(tokenizer(row["sentence"])["input_ids"], row["label"]) for row in ROWS]
    assert sorted(zip(rows_of(batches, "input_ids"), labels, strict=True)) == sorted(expected)


def test_text_without_labels_needs_none(load: Callable[..., Batches]) -> None:
    assert set(load([{"text": "good film"}], task="text")[0]) == {"input_ids", "token_type_ids", "attention_mask"}
