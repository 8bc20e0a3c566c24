"""A model's head called with hidden states: as inside the model, of every family, and the model stays as it is."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export import compress
from fwsvd_export.architectures.head_alone import HeadAlone
from fwsvd_export.architectures.registry import encoder_of
from tests.helpers import HEADS, VOCABULARY, tiny_head

# One that reads several sequences at once is not called with those of one
ONE_SEQUENCE = [name for name in HEADS if not name.endswith("ForMultipleChoice")]


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("name", ONE_SEQUENCE)
def test_its_outputs_are_those_of_the_model_that_has_these_hidden_states(name: str, rank: int | None) -> None:
    model = tiny_head(name).eval()
    if rank is not None:
        model = compress(model, method="svd", rank=rank).eval()
    ids = torch.randint(5, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))
    encoder, left = encoder_of(model), []
    last = encoder.module(encoder.family.layer.format(1))
    last.register_forward_hook(lambda _, __, out: left.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        whole = model(input_ids=ids, output_hidden_states=True)
        alone = HeadAlone(encoder)(left[0])
    assert list(alone.keys()) == [name for name in whole if name not in ("hidden_states", "loss")]
    for name in alone:
        torch.testing.assert_close(alone[name], whole[name], rtol=0, atol=0)


def test_it_is_a_copy_in_float32_of_pooler_and_head_alone() -> None:
    model = tiny_head("BertForSequenceClassification").half()
    modules, before = dict(model.named_modules()), {name: value.clone() for name, value in model.state_dict().items()}
    head = HeadAlone(encoder_of(model))
    assert set(head.parameters) == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "classifier.weight",
        "classifier.bias",
    }
    for parameter in head.parameters.values():
        assert parameter.dtype == torch.float32
        parameter.data.zero_()
    assert head(torch.ones(2, 3, 32, dtype=torch.float16)).logits.dtype == torch.float32
    assert dict(model.named_modules()) == modules
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
