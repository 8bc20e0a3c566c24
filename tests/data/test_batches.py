"""Batches: sorted by length, padded, and read as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from tests.data.sentences import ROWS, TEXTS, assert_same, rows_of
from tests.helpers import tiny_head


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


PAIRS = [
    {"sentence1": "a great film", "sentence2": "very good", "label": 4.5},
    {"sentence1": "the plot", "sentence2": "a dull but fine movie", "label": 1},
    {"sentence1": "a great film", "sentence2": "the cast", "label": 0},
]


def test_texts_of_a_pair_are_sequences_of_their_own_the_second_ones_behind(
    tokenizer: Any, load: Callable[..., Batches]
) -> None:
    batches = load(PAIRS, "sts", encoder_of(tiny_head("BertModel")), batch_size=2)
    assert (batches.examples, len(batches)) == (3, 2)
    for batch, start in zip(batches, (0, 2), strict=True):
        rows = [PAIRS[place] for place in batches.indices[start : start + 2]]
        texts = [row[f"sentence{side}"] for side in (1, 2) for row in rows]
        expected = tokenizer(texts, padding=True, return_tensors="pt")
        assert torch.equal(batch["input_ids"], expected["input_ids"])
        assert torch.equal(batch["attention_mask"], expected["attention_mask"])
        assert batch["labels"].tolist() == [row["label"] for row in rows]


def test_a_pair_is_taken_out_when_both_of_its_texts_were_seen(load: Callable[..., Batches]) -> None:
    encoder = encoder_of(tiny_head("BertModel"))
    batches = load(PAIRS, "sts", encoder)
    texts = load([{"text": text} for text in ("a great film", "the cast")], "embedding", encoder)
    assert sorted(batches.without(texts.token_ids).indices) == [0, 1]
    relabelled = batches.labelled({0: 10.0, 1: 11.0, 2: 12.0})
    assert dict(zip(relabelled.indices, relabelled[0]["labels"].tolist(), strict=True)) == {0: 10.0, 1: 11.0, 2: 12.0}


def test_without_labels_every_text_is_an_example_with_a_number_of_its_own(
    tokenizer: Any, write_rows: Callable[[Any], Path]
) -> None:
    task = TASKS["sts"].without_labels()
    request = DataRequest(task, write_rows(PAIRS), batch_size=1)
    batches = load_batches(request, tokenizer, encoder_of(tiny_head("BertModel")))
    assert batches.examples == 6
    texts = [row[f"sentence{side}"] for row in PAIRS for side in (1, 2)]
    for number, batch in zip(batches.indices, batches, strict=True):
        assert batch["input_ids"][0].tolist() == tokenizer(texts[number])["input_ids"]
