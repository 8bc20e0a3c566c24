"""DeBERTa's adapter: query and key read the table of distances too, where they are shared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from tests.helpers import tiny_head

IDS = torch.tensor([[5, 9, 7, 8, 11], [6, 12, 13, 14, 5], [20, 7, 9, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": MASK, "labels": torch.tensor([0, 1, 1])}


@pytest.fixture
def model() -> Any:
    return tiny_head("DebertaV2ForSequenceClassification")


def weight_gradients(model: Any, name: str) -> list[Tensor]:
    """Of every example's loss, by torch: all uses of the weight together."""
    weight = encoder_of(model).module(name).weight
    found = []
    for row in range(len(IDS)):
        length = int(MASK[row].sum())
        one = {
            key: value[row : row + 1, :length] if value.dim() == 2 else value[row : row + 1]
            for key, value in BATCH.items()
        }
        found.append(torch.autograd.grad(model(**one).loss, weight)[0])
    return found


@pytest.mark.parametrize("role", ["query", "key", "value", "intermediate"])
def test_statistics_are_of_all_uses_of_a_weight_in_one_example(role: str, model: Any) -> None:
    statistics = fe.collect_statistics(model, [BATCH], collect=("kfac", "row", "element"), temperature=1.0)
    for layer in encoder_of(model).layers:
        if layer.role == role:
            expected = torch.stack(weight_gradients(model, layer.name)).square().sum(dim=0)
            found = statistics.layers[layer.name]
            torch.testing.assert_close(found.element, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))
            torch.testing.assert_close(found.row_input, expected.sum(dim=0), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_the_rows_that_a_sequence_uses_are_those_that_its_gradient_reaches(length: int, model: Any) -> None:
    encoder = encoder_of(model)
    table = encoder.module("encoder").rel_embeddings.weight
    ids = torch.arange(5, 5 + length).remainder(20).add(5)[None]
    found = model.deberta(input_ids=ids).last_hidden_state.logsumexp(-1).sum()
    reached = torch.autograd.grad(found, table)[0].abs().sum(dim=1) > 0
    stage = encoder.blocks[0][0]
    assert [name for name, _ in stage.beside] == [layer.name for layer in encoder.layers[:2]]
    rows = stage.beside[0][1](length)
    whole = encoder.module("encoder").get_rel_embedding()
    used = (whole[:, None] == rows[None]).all(dim=2).any(dim=1)
    assert len(rows) == int(used.sum())
    # The distance of a token to itself, where it is the only one, moves no score against another
    assert length == 1 or bool((used == reached).all())


def test_projections_of_their_own_leave_query_and_key_to_the_tokens() -> None:
    encoder = encoder_of(tiny_head("DebertaV2Model", share_att_key=False))
    assert encoder.repeated == frozenset()
    assert encoder.blocks[0][0].beside == ()
    assert len({layer.reads for layer in encoder.layers[:3]}) == 1


@pytest.mark.parametrize(("types", "inputs"), [(0, 2), (2, 3)])
def test_token_types_are_an_input_where_the_model_has_a_table_of_them(types: int, inputs: int) -> None:
    encoder = encoder_of(tiny_head("DebertaV2Model", type_vocab_size=types))
    assert len(encoder.inputs) == inputs
    assert ("token_type_ids" in encoder.ranges) is (types > 0)
