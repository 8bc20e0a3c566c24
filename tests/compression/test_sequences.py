from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export import compress
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.sequences import PACK_TOKENS, entering_states, packed_sequences
from tests.helpers import HEADS, attentions_of, tiny_head

Batches = list[dict[str, Tensor]]
BERT_TINY = encoder_of(tiny_head("BertModel"))


def rows_of(packs: list[dict[str, Tensor]]) -> list[tuple[tuple[int, ...], ...]]:
    """Each sequence as its (token, type, position) numbers, in the order of the packs."""
    names = ("input_ids", "token_type_ids", "position_ids")
    return [
        tuple(tuple(row.tolist()) for row in rows)
        for pack in packs
        for rows in zip(*(pack[name] for name in names), strict=True)
    ]


def lengths_of(packs: list[dict[str, Tensor]]) -> list[int]:
    return [len(ids) for ids, _, _ in rows_of(packs)]


def test_every_unmasked_token_is_there_once_without_padding(make_batches: Callable[..., Batches]) -> None:
    batches = make_batches(40, 7)
    packs = packed_sequences(BERT_TINY, batches, seed=0)
    expected = [
        tuple(ids[mask.bool()].tolist())
        for batch in batches
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert sorted(ids for ids, _, _ in rows_of(packs)) == sorted(expected)
    assert all((pack["input_ids"] != 0).all() for pack in packs)


def test_sequences_of_one_length_lie_together_shortest_first(make_batches: Callable[..., Batches]) -> None:
    packs = packed_sequences(BERT_TINY, make_batches(40, 7), seed=0)
    lengths = [pack["input_ids"].shape[1] for pack in packs]
    assert lengths == sorted(set(lengths))
    for pack in packs:
        assert pack.keys() == {"input_ids", "token_type_ids", "position_ids"}
        assert len({values.shape for values in pack.values()}) == 1


def test_types_and_positions_that_are_missing_are_zero_and_count_up() -> None:
    (row,) = rows_of(packed_sequences(BERT_TINY, [{"input_ids": torch.tensor([[7, 8, 9]])}], seed=0))
    assert row == ((7, 8, 9), (0, 0, 0), (0, 1, 2))


def test_types_and_positions_that_are_given_are_kept() -> None:
    batch = {
        "input_ids": torch.tensor([[7, 8, 9], [5, 6, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
        "token_type_ids": torch.tensor([[0, 1, 1], [1, 0, 0]]),
        "position_ids": torch.tensor([[4, 2, 0]]),  # one row for all sequences, as BERT takes it
    }
    rows = rows_of(packed_sequences(BERT_TINY, [batch], seed=0))
    assert rows == [((5, 6), (1, 0), (4, 2)), ((7, 8, 9), (0, 1, 1), (4, 2, 0))]


def test_a_token_keeps_its_place_when_the_padding_stands_before_it() -> None:
    batch = {"input_ids": torch.tensor([[0, 0, 7, 8]]), "attention_mask": torch.tensor([[0, 0, 1, 1]])}
    assert rows_of(packed_sequences(BERT_TINY, [batch], seed=0)) == [((7, 8), (0, 0), (2, 3))]


def test_the_choices_of_an_example_are_sequences_of_their_own() -> None:
    ids = torch.tensor([[[5, 6, 7], [8, 9, 0]], [[1, 0, 0], [2, 3, 0]]])
    packs = packed_sequences(BERT_TINY, [{"input_ids": ids, "attention_mask": (ids > 0).long()}], seed=0)
    assert sorted(ids for ids, _, _ in rows_of(packs)) == [(1,), (2, 3), (5, 6, 7), (8, 9)]


def test_a_row_that_is_all_masked_is_left_out() -> None:
    batch = {"input_ids": torch.tensor([[5, 6], [7, 8]]), "attention_mask": torch.tensor([[0, 0], [1, 1]])}
    assert [ids for ids, _, _ in rows_of(packed_sequences(BERT_TINY, [batch], seed=0))] == [(7, 8)]
    assert packed_sequences(BERT_TINY, [{name: values[:1] for name, values in batch.items()}], seed=0) == []
    assert packed_sequences(BERT_TINY, [], seed=0) == []


def test_the_seed_is_of_the_order_of_sequences_of_one_length(make_batches: Callable[..., Batches]) -> None:
    first, again, other = (rows_of(packed_sequences(BERT_TINY, make_batches(40, 7), seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other)


@pytest.mark.parametrize(
    ("count", "length", "expected"),
    [
        (5, 700, [2, 2, 1]),
        (3, PACK_TOKENS, [1, 1, 1]),
        (2, PACK_TOKENS + 1, [1, 1]),  # a longer sequence stands alone
        (PACK_TOKENS // 4 + 1, 4, [PACK_TOKENS // 4, 1]),
    ],
)
def test_a_pack_holds_at_most_so_many_tokens(count: int, length: int, expected: list[int]) -> None:
    packs = packed_sequences(BERT_TINY, [{"input_ids": torch.ones(count, length, dtype=torch.long)}], seed=0)
    assert [len(pack["input_ids"]) for pack in packs] == expected


@torch.no_grad()
def hidden_by_hand(encoder: Encoder, packs: list[dict[str, Tensor]]) -> list[list[Tensor]]:
    """The states before the first layer and after each layer: one (length, width) per sequence."""
    states = list(entering_states(encoder, packs))
    everything = [[row for pack in states for row in pack]]
    for stages in encoder.blocks:
        for stage in stages:
            readout = encoder.module(stage.readout)
            states = [stage.norm(readout(stage.inner(hidden)) + hidden) for hidden in states]
        everything.append([row for pack in states for row in pack])
    return everything


@pytest.mark.parametrize("rank", [None, 6, 20])
@pytest.mark.parametrize(("name", "attention"), [(name, one) for name in HEADS for one in attentions_of(name)])
def test_layers_run_one_by_one_give_the_hidden_states_of_the_padded_model(
    name: str, rank: int | None, attention: str, make_head: Callable[..., Any], make_batches: Callable[..., Batches]
) -> None:
    model = make_head(name, attn_implementation=attention)
    if rank is not None:
        model = compress(model, method="svd", rank=rank)
    encoder = encoder_of(model)
    batches = [{key: value for key, value in batch.items() if key != "labels"} for batch in make_batches(20, 6)]
    packs = packed_sequences(encoder, batches, seed=0)
    by_hand = hidden_by_hand(encoder, packs)
    if encoder.closing is not None:
        by_hand[-1] = [encoder.closing(row) for row in by_hand[-1]]
    assert len(by_hand) == 1 + model.config.num_hidden_layers
    rows = [tuple(row.tolist()) for pack in packs for row in pack["input_ids"]]
    places = {ids: place for place, ids in enumerate(rows)}
    seen = 0
    for batch in batches:
        with torch.no_grad():
            found = encoder.base(**batch, output_hidden_states=True)
        padded = [*found.hidden_states[:-1], found.last_hidden_state]  # versions differ on the last before its norm
        for row, (ids, mask) in enumerate(zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)):
            place = places[tuple(ids[mask].tolist())]
            for mine, its in zip(by_hand, padded, strict=True):
                torch.testing.assert_close(mine[place], its[row][mask], rtol=0, atol=1e-5)
            seen += 1
    assert seen == 20 == len(places)


def test_a_family_without_token_types_packs_ids_and_positions() -> None:
    encoder = encoder_of(tiny_head("DistilBertModel"))
    batch = {"input_ids": torch.tensor([[0, 7, 8]]), "attention_mask": torch.tensor([[0, 1, 1]])}
    (pack,) = packed_sequences(encoder, [batch], seed=0)
    assert {name: values.tolist() for name, values in pack.items()} == {
        "input_ids": [[7, 8]],
        "position_ids": [[1, 2]],
    }
