"""A post-norm layer in parts gives what the whole layer gives."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import FAMILIES, encoder_of
from tests.helpers import tiny_head

POST_NORM = {name: family for name, family in FAMILIES.items() if family.post_norm is not None}


@pytest.mark.parametrize("family", POST_NORM.values(), ids=POST_NORM)
def test_the_parts_of_every_layer_compute_the_next_hidden_states(family: Family) -> None:
    model = tiny_head(family.dense_name(family.heads[0]))
    layers = encoder_of(model).post_norm_layers or ()
    with torch.no_grad():
        states = model(input_ids=torch.tensor([[5, 6, 7, 8]]), output_hidden_states=True).hidden_states
        for layer, hidden, expected in zip(layers, states[:-1], states[1:], strict=True):
            attended = layer.part("attention_output")(layer.context(hidden))
            middle = layer.part("attention_norm")(attended + hidden)
            found = layer.part("norm")(layer.part("output")(layer.activated(middle)) + middle)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", POST_NORM.values(), ids=POST_NORM)
def test_query_key_and_value_read_one_input_and_the_others_their_own(family: Family) -> None:
    layer, *_ = encoder_of(tiny_head(family.dense_name(family.heads[0]))).post_norm_layers or ()
    assert len({layer.reads(role) for role in ("query", "key", "value")}) == 1
    assert layer.reads("output") == layer.linear_name("output") != layer.reads("query")
