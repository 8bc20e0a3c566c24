"""DistilBERT's adapter: positions, and no token types."""

from __future__ import annotations

import torch

from fwsvd_export.architectures.registry import encoder_of
from tests.helpers import tiny_head

IDS = torch.tensor([[5, 6, 7], [8, 9, 10]])


def test_what_enters_the_first_layer_is_what_the_model_makes_of_the_batch() -> None:
    model = tiny_head("DistilBertModel")
    encoder = encoder_of(model)
    with torch.no_grad():
        expected = model(input_ids=IDS, output_hidden_states=True).hidden_states[0]
        with_positions = encoder.entering(encoder.per_token({"input_ids": IDS}))
        without = encoder.entering({"input_ids": IDS})
        turned = encoder.entering({"input_ids": IDS, "position_ids": torch.tensor([[2, 1, 0]]).expand(2, 3)})
    torch.testing.assert_close(with_positions, expected)
    torch.testing.assert_close(without, expected)
    assert not torch.allclose(turned, expected)


def test_token_types_are_no_input() -> None:
    encoder = encoder_of(tiny_head("DistilBertModel"))
    assert encoder.inputs == ("input_ids", "attention_mask")
    assert set(encoder.per_token({"input_ids": IDS, "token_type_ids": IDS})) == {"input_ids", "position_ids"}
