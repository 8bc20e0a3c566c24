"""Factorised word embeddings: what they compute, what a tied output layer makes of them, and what is saved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fwsvd_export import compress, densify
from fwsvd_export.architectures.registry import encoder_of, family_of_class
from fwsvd_export.modeling.configuration_lowrank_bert import LowRankBertConfig
from fwsvd_export.modeling.lowrank_layers import LowRankEmbedding, TiedDecoder, factorize
from fwsvd_export.modeling.modeling_lowrank_bert import LowRankBertModel
from tests.helpers import HEADS, TIED_HEADS, decoder_of, words_of

TABLE = "embeddings.word_embeddings"


@pytest.fixture
def make_small(make_head: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes a model of any class with word embeddings of rank 7 and layers of rank 5."""

    def make(class_name: str, **changes: Any) -> Any:
        return compress(make_head(class_name, **changes), method="svd", rank=5, embeddings=0.5)

    return make


def product_of(model: Any) -> Tensor:
    embeddings = words_of(model)
    return (embeddings.table.weight.double() @ embeddings.projection.weight.double().T).float().detach()


def test_a_word_is_a_row_of_the_table_times_the_projection() -> None:
    layer = LowRankEmbedding(9, 6, rank=3, padding_idx=0)
    words = torch.tensor([[0, 8, 3], [3, 1, 0]])
    weight = layer.table.weight @ layer.projection.weight.T
    torch.testing.assert_close(layer(words), weight[words])
    assert layer(words).shape == (2, 3, 6)
    assert (layer.table.weight.shape, layer.projection.weight.shape) == ((9, 3), (6, 3))
    assert (layer.projection.bias, layer.table.padding_idx) == (None, 0)
    assert "9, 6, rank=3" in repr(layer)


def test_scores_are_the_products_with_every_word() -> None:
    layer = LowRankEmbedding(9, 6, rank=3)
    states = torch.randn(2, 5, 6)
    weight = layer.table.weight @ layer.projection.weight.T
    torch.testing.assert_close(layer.scores(states), states @ weight.T)


@pytest.mark.parametrize("rank", [-1, 0, 7])
@pytest.mark.parametrize(("words", "width"), [(9, 6), (6, 9)])
def test_ranks_outside_the_smaller_side_are_refused(rank: int, words: int, width: int) -> None:
    sentence = f"^rank {rank} of a {words} x {width} embedding: 1 to its smaller side is allowed$"
    with pytest.raises(ValueError, match=sentence):
        LowRankEmbedding(words, width, rank)
    assert LowRankEmbedding(words, width, 6).rank == 6


def test_a_tied_decoder_scores_with_the_embeddings_and_owns_the_bias_alone() -> None:
    embeddings = LowRankEmbedding(9, 6, rank=3)
    decoder = TiedDecoder(embeddings, torch.nn.Parameter(torch.randn(9)))
    states = torch.randn(2, 5, 6)
    weight = embeddings.table.weight @ embeddings.projection.weight.T
    torch.testing.assert_close(decoder(states), states @ weight.T + decoder.bias)
    assert [name for name, _ in decoder.named_parameters()] == ["bias"]


def test_embeddings_are_swapped_in_their_own_dtype_and_padding() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(9, 6, padding_idx=2, dtype=torch.bfloat16))
    factorize(model, {"0": 4})
    assert isinstance(model[0], LowRankEmbedding)
    assert (model[0].rank, model[0].table.padding_idx) == (4, 2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_new_model_initialises_both_factors(make_head: Callable[..., Any]) -> None:
    settings = make_head("BertModel").config.to_diff_dict() | {"initializer_range": 1e-4}
    settings.pop("model_type")
    model = LowRankBertModel(LowRankBertConfig(low_rank={"ranks": {TABLE: 4}}, **settings))
    for weight in model.embeddings.word_embeddings.parameters():
        assert 0 < weight.abs().max() < 1e-2


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_a_language_model_predicts_what_its_multiplied_out_table_does(
    class_name: str,
    tied: bool,
    make_small: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, Tensor]],
    make_head: Callable[..., Any],
) -> None:
    """The dense model here is put together by hand: the original with the product written into its table."""
    small = make_small(class_name, tie_word_embeddings=tied)
    dense = make_head(class_name, tie_word_embeddings=tied)
    own = decoder_of(dense)[0].weight.detach().clone()
    with torch.no_grad():
        words_of(dense).weight.copy_(product_of(small))
        for name in small.config.low_rank["ranks"].keys() - {encoder_of(small).embedding.name}:
            layer = encoder_of(small).module(name)
            encoder_of(dense).module(name).weight.copy_(layer.up.weight @ layer.down.weight)
        decoder = decoder_of(dense)[0].weight
        torch.testing.assert_close(decoder, product_of(small) if tied else own)
        ours, theirs = small(**head_inputs(class_name)).to_tuple(), dense(**head_inputs(class_name)).to_tuple()
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert isinstance(decoder_of(small)[0], TiedDecoder) is tied


@pytest.mark.parametrize("class_name", HEADS)
def test_both_factors_of_every_head_are_trained(
    class_name: str, make_small: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]]
) -> None:
    model = make_small(class_name)
    outputs = model(**head_inputs(class_name)).to_tuple()
    sum(output.logsumexp(-1).sum() for output in outputs).backward()
    embeddings = words_of(model)
    for weight in (embeddings.table.weight, embeddings.projection.weight):
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0


@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_a_tied_output_layer_trains_words_that_were_not_read(
    class_name: str, make_small: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]]
) -> None:
    model = make_small(class_name)
    batch = head_inputs(class_name)
    model(**batch).to_tuple()[0].square().sum().backward()
    unread = [word for word in range(25) if word not in batch["input_ids"]]
    assert unread
    assert (words_of(model).table.weight.grad[unread].abs().amax(dim=1) > 0).all()
    decoder, bias = decoder_of(model)
    assert bias is None or bias.grad.abs().max() > 0
    assert decoder.bias is bias


@pytest.mark.parametrize("class_name", HEADS)
def test_the_saved_file_holds_the_factors_once_and_loads_without_a_word(
    class_name: str, make_small: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    model = make_small(class_name)
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    words = encoder_of(model).prefix + encoder_of(model).embedding.name
    assert {f"{words}.table.weight", f"{words}.projection.weight"} <= names
    tied = family_of_class(class_name).low_rank_class(class_name).tied_layer[0]
    assert not {f"{words}.weight", f"{tied}.weight"} & names
    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        ours, theirs = (one.eval()(**head_inputs(class_name)).to_tuple() for one in (model, loaded))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    if class_name in TIED_HEADS:
        decoder, bias = decoder_of(loaded)
        assert decoder.bias is bias


@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_an_untied_head_keeps_an_output_layer_of_its_own(
    class_name: str, make_small: Callable[..., Any], make_head: Callable[..., Any], tmp_path: Path
) -> None:
    made = make_small(class_name, tie_word_embeddings=False)
    made.save_pretrained(tmp_path)
    loaded, report = type(made).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    own = decoder_of(make_head(class_name, tie_word_embeddings=False))[0].weight
    for model in (made, loaded):
        assert type(decoder_of(model)[0]) is torch.nn.Linear
        assert torch.equal(decoder_of(model)[0].weight, own)
        assert model.get_output_embeddings() is decoder_of(model)[0]


@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_a_copy_shares_nothing_with_the_original(
    class_name: str, make_small: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]]
) -> None:
    model = make_small(class_name)
    with torch.no_grad():
        before = model(**head_inputs(class_name)).to_tuple()[0]
        twin = copy.deepcopy(model)
        for parameter in twin.parameters():
            parameter.mul_(0).add_(0.5)
        assert torch.equal(model(**head_inputs(class_name)).to_tuple()[0], before)
        words_of(model).table.weight.zero_()
        changed = twin(**head_inputs(class_name)).to_tuple()[0]
    # every word of the copy has one and the same vector, of its own factors
    assert (changed - changed[..., :1]).abs().max() < 1e-4
    assert decoder_of(twin)[0]._embeddings[0] is words_of(twin)


@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_there_is_no_output_layer_to_tie_or_resize(class_name: str, make_small: Callable[..., Any]) -> None:
    model = make_small(class_name)
    assert model.get_output_embeddings() is None
    before = model.state_dict()
    model.tie_weights()
    assert model.state_dict().keys() == before.keys()
    assert isinstance(decoder_of(model)[0], TiedDecoder)


@pytest.mark.parametrize("class_name", HEADS)
def test_resizing_is_refused_where_the_words_are_factorised(
    class_name: str, make_small: Callable[..., Any], make_head: Callable[..., Any]
) -> None:
    small = make_small(class_name)
    with pytest.raises(ValueError, match="resize the dense model and compress it again") as refusal:
        small.resize_token_embeddings(30)
    assert f"word embeddings of rank {small.get_input_embeddings().rank} cannot be resized" in str(refusal.value)
    dense_words = compress(make_head(class_name), method="svd", rank=5)
    dense_words.resize_token_embeddings(30)
    assert dense_words.get_input_embeddings().num_embeddings == 30


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_multiplied_out_it_is_tied_as_it_was(class_name: str, tied: bool, make_small: Callable[..., Any]) -> None:
    plain = densify(make_small(class_name, tie_word_embeddings=tied))
    assert (decoder_of(plain)[0].weight is words_of(plain).weight) is tied
