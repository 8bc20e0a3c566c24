"""Batches: sorted by length, padded, and read as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.data.batches import Batches
from tests.data.sentences import ROWS, TEXTS, assert_same, rows_of


def test_batches_are_sorted_by_length_and_padded_with_masks(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=4)
    assert (len(batches), batches.examples) == (2, 6)
    lengths = [int(length) for batch in batches for length in batch["attention_mask"].sum(dim=1)]
    assert lengths == sorted(len(ids) for ids in tokenizer(TEXTS)["input_ids"])
    for batch in batches:
        mask: Tensor = batch["attention_mask"]
        assert batch["input_ids"].shape == mask.shape
        assert mask.shape[1] == mask.sum(dim=1).max()
        assert torch.equal(batch["input_ids"] == tokenizer.pad_token_id, mask == 0)
        assert torch.equal(mask, mask.sort(dim=1, descending=True).values)


def test_batches_are_a_sequence_that_can_be_read_twice(load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=4)
    assert_same(batches, batches)
    assert torch.equal(batches[1]["labels"], list(batches)[1]["labels"])
    with pytest.raises(IndexError):
        batches[2]


def test_examples_of_other_batches_are_taken_out_by_their_tokens(load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=2)
    others = load([{**row, "label": 1} for row in ROWS[:2]] + [{"sentence": "never", "label": 0}])
    left = batches.without(others.token_ids)
    assert_same(left, load(ROWS[2:], batch_size=2))
    assert (left.examples, batches.examples) == (4, 6)
    assert batches.without(batches.token_ids).examples == 0


def test_batches_know_which_row_every_example_was(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=4)
    assert sorted(batches.indices) == list(range(len(ROWS)))
    found = dict(zip(batches.indices, rows_of(batches, "input_ids"), strict=True))
    assert found == dict(enumerate(tokenizer(TEXTS)["input_ids"]))
    left = batches.without({tuple(found[0]), tuple(found[4])})
    assert dict(zip(left.indices, rows_of(left, "input_ids"), strict=True)) == {
        index: row for index, row in found.items() if index not in (0, 4)
    }
