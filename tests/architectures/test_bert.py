"""BERT's adapter: token types and given positions reach the embeddings."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.architectures.registry import encoder_of
from tests.helpers import tiny_head

IDS = torch.tensor([[5, 6, 7], [8, 9, 10]])


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"token_type_ids": torch.tensor([[0, 1, 1], [1, 0, 0]])},
        {"position_ids": torch.tensor([[4, 2, 0]])},
    ],
    ids=["token ids alone", "token types", "positions"],
)
def test_what_enters_the_first_layer_is_what_the_model_makes_of_the_batch(given: dict[str, torch.Tensor]) -> None:
    model = tiny_head("BertModel")
    encoder = encoder_of(model)
    with torch.no_grad():
        expected = model(input_ids=IDS, **given, output_hidden_states=True).hidden_states[0]
        found = encoder.entering(encoder.per_token({"input_ids": IDS, **given}))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_tables_of_token_ids_and_token_types_bound_their_inputs() -> None:
    encoder = encoder_of(tiny_head("BertModel", type_vocab_size=3))
    assert encoder.ranges == {"input_ids": encoder.embedding.out_features, "token_type_ids": 3}
