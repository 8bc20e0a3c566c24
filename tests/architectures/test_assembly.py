"""Models of another class around weights that are there already."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fwsvd_export.architectures.assembly import assemble, carried_settings, tied_decoder
from tests.helpers import HEADS, TIED_HEADS, decoder_of, tiny_head


@pytest.mark.parametrize("class_name", HEADS)
def test_an_assembled_model_is_a_copy_that_shares_nothing(class_name: str) -> None:
    model = tiny_head(class_name)
    random_state = torch.get_rng_state()
    copy = assemble(type(model), model.config, model.state_dict(), model)
    assert torch.equal(torch.get_rng_state(), random_state)
    theirs, ours = model.state_dict(), copy.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not {id(p) for p in copy.parameters()} & {id(p) for p in model.parameters()}
    first = next(copy.parameters())
    with torch.no_grad():
        first.add_(1)
    assert not torch.equal(first, next(model.parameters()))


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_dtype_are_those_of_the_model_it_is_made_from(training: bool) -> None:
    model = tiny_head("BertModel").to(torch.bfloat16).train(training)
    copy = assemble(type(model), model.config, model.state_dict(), model)
    assert copy.training is training
    assert {parameter.dtype for parameter in copy.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_the_output_layer_is_named_only_where_it_is_tied(class_name: str, tied: bool) -> None:
    model = tiny_head(class_name, tie_word_embeddings=tied)
    name = tied_decoder(model)
    assert (name is not None) is tied
    assert name is None or model.get_submodule(name) is decoder_of(model)[0]


def test_a_model_without_an_output_layer_has_none_that_is_tied() -> None:
    assert tied_decoder(tiny_head("BertForSequenceClassification")) is None


def test_settings_of_the_class_and_of_the_place_are_not_carried() -> None:
    config: Any = tiny_head("BertModel").config
    carried = carried_settings(config)
    assert not {"model_type", "architectures", "auto_map", "transformers_version"} & set(carried)
    assert carried["hidden_size"] == config.hidden_size
