"""A calibration sample gives reconstruction what the batches gave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.sequences import packed_sequences
from fwsvd_export.errors import StatisticsError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.sample import CalibrationSample, SampleCollector, merge_samples
from tests.helpers import tiny_head

Batch = dict[str, Tensor]


def ids(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(1, 25, shape, generator=torch.Generator().manual_seed(seed))


def sample_of(*batches: Batch, model: str = "BertModel") -> CalibrationSample | None:
    collector = SampleCollector(encoder_of(tiny_head(model)))
    for batch in batches:
        collector.add(batch)
    return collector.finished()


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 0]])
TYPES = torch.tensor([[0, 0, 0, 1, 1]]).expand(5, 5)
CASES: dict[str, list[Batch]] = {
    "no mask": [{"input_ids": ids(3, 5)}, {"input_ids": ids(2, 4)}],
    "padding behind, before and between": [{"input_ids": ids(5, 5), "attention_mask": MASK}],
    "truth values as mask": [{"input_ids": ids(5, 5), "attention_mask": MASK.bool()}],
    "token types": [{"input_ids": ids(5, 5), "attention_mask": MASK, "token_type_ids": TYPES}],
    "token types of one batch": [{"input_ids": ids(5, 5), "token_type_ids": TYPES}, {"input_ids": ids(2, 7)}],
    "token types that say nothing": [{"input_ids": ids(5, 5), "token_type_ids": torch.zeros_like(TYPES)}],
    "one row of positions for all": [{"input_ids": ids(5, 5), "position_ids": torch.arange(5)[None] + 2}],
    "positions of one batch": [{"input_ids": ids(2, 3)}, {"input_ids": ids(2, 3), "position_ids": ids(2, 3, seed=1)}],
    "choices": [{"input_ids": ids(2, 3, 5), "attention_mask": ids(2, 3, 5).sort(descending=True).values > 12}],
}


@pytest.mark.parametrize("case", CASES)
def test_sequences_are_packed_as_those_of_the_batches(case: str, tiny_model: Any) -> None:
    sample = sample_of(*CASES[case])
    assert sample is not None
    found, expected = (packed_sequences(encoder_of(tiny_model), given, 3) for given in (sample.batches(), CASES[case]))
    assert len(found) == len(expected) > 0
    for mine, its in zip(found, expected, strict=True):
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) and mine[name].dtype == its[name].dtype for name in mine)


def test_what_says_nothing_is_not_stored() -> None:
    plain = sample_of(*CASES["token types that say nothing"])
    assert (dict(plain.inputs), plain.attention_mask) == ({}, None)
    assert plain.token_ids.dtype == plain.lengths.dtype == torch.int32
    behind = sample_of({"input_ids": ids(2, 5), "attention_mask": MASK[:2]})
    assert behind.attention_mask is None
    assert behind.lengths.tolist() == [5, 3]
    assert sample_of(*CASES["padding behind, before and between"]).attention_mask.tolist().count(0) == 4


def test_inputs_are_kept_by_the_names_that_the_family_gives() -> None:
    batches = [
        {"input_ids": ids(2, 5), "token_type_ids": TYPES[:2]},
        {"input_ids": ids(1, 3), "position_ids": torch.tensor([[2, 3, 4]])},
    ]
    sample = sample_of(*batches)
    assert {name: values.tolist() for name, values in sample.inputs.items()} == {
        "token_type_ids": [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, -1, -1, -1],
        "position_ids": [-1] * 10 + [2, 3, 4],
    }
    assert [set(batch) for batch in sample.batches()] == [{"input_ids", "token_type_ids"}] * 2 + [
        {"input_ids", "position_ids"}
    ]
    assert sample_of(batches[0], model="DistilBertModel").inputs == {}, "this family has no token types"


def test_nothing_but_padding_makes_no_sample() -> None:
    assert sample_of({"input_ids": ids(2, 5), "attention_mask": torch.zeros(2, 5)}) is None
    assert sample_of() is None


def test_joined_samples_give_the_sequences_of_all_their_batches() -> None:
    whole = sample_of(*(batch for case in CASES.values() for batch in case))
    joined = merge_samples([sample_of(*case) for case in CASES.values()])
    assert whole is not None
    assert joined is not None
    for mine, its in zip(joined.batches(), whole.batches(), strict=True):
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in mine)


def test_unmasked_tokens_of_every_sequence() -> None:
    tokens = ids(5, 5)
    sample = sample_of({"input_ids": tokens, "attention_mask": MASK})
    expected = {tuple(row[keep].tolist()) for row, keep in zip(tokens, MASK.bool(), strict=True) if keep.any()}
    assert sample.unmasked() == expected
    assert sample_of({"input_ids": tokens}).unmasked() == {tuple(row.tolist()) for row in tokens}


def test_collecting_keeps_the_texts_in_the_order_of_the_batches_unless_told_not_to(
    tiny_model: Any, make_batches: Callable[..., list[Batch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = make_batches(10, 4)
    monkeypatch.setattr("fwsvd_export.fisher.collect.TOKENS_PER_PASS", 24)
    sample = collect_statistics(tiny_model, batches, collect=("row",)).sample
    expected = [
        row[keep].tolist() for b in batches for row, keep in zip(b["input_ids"], b["attention_mask"] > 0, strict=True)
    ]
    assert sample.sequences == 10
    assert [batch["input_ids"][0].tolist() for batch in sample.batches()] == expected
    assert collect_statistics(tiny_model, batches, collect=("row",), samples=False).sample is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lengths": torch.tensor([2, 2], dtype=torch.int32)}, "token_ids has 5 numbers for 4 tokens"),
        ({"lengths": torch.tensor([5, 0], dtype=torch.int32)}, "a sequence has 0 tokens"),
        ({"lengths": torch.tensor([7, -2], dtype=torch.int32)}, "a sequence has -2 tokens"),
        ({"lengths": torch.tensor([2, 3])}, "lengths is a torch.int64 of shape"),
        ({"token_ids": torch.zeros(5)}, "token_ids is a torch.float32 of shape"),
        ({"token_ids": torch.zeros(1, 5, dtype=torch.int32)}, r"of shape \(1, 5\)"),
        ({"token_ids": torch.full((5,), -1, dtype=torch.int32)}, "token_ids has the number -1"),
        ({"attention_mask": torch.full((5,), -1, dtype=torch.int32)}, "attention_mask has the number -1"),
        ({"inputs": {"token_type_ids": torch.zeros(4, dtype=torch.int32)}}, "token_type_ids has 4 numbers for 5 tok"),
        ({"inputs": {"position_ids": torch.full((5,), -2, dtype=torch.int32)}}, "position_ids has the number -2"),
    ],
)
def test_a_damaged_sample_is_refused(changes: dict[str, Tensor], words: str) -> None:
    sample = CalibrationSample(torch.arange(5, dtype=torch.int32), torch.tensor([2, 3], dtype=torch.int32))
    with pytest.raises(StatisticsError, match=f"calibration sample is damaged: .*{words}.*collect again"):
        replace(sample, **changes)
