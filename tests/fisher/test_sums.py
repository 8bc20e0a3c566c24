"""Fisher sums of the word embeddings are those of single examples, however they are batched, split or stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.fisher import collect_statistics, merge_statistics
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.records import EmbeddingStatistics, Statistics

Batches = list[dict[str, Tensor]]
MakeBatches = Callable[..., Batches]


def collected(model: Any, batches: Batches, **options: Any) -> EmbeddingStatistics:
    embedding = collect_statistics(model, batches, **{"collect": ("row",), "temperature": 1, **options}).embedding
    assert embedding is not None
    return embedding


def assert_same(found: EmbeddingStatistics | None, expected: EmbeddingStatistics | None) -> None:
    assert found is not None
    assert expected is not None
    for name in ("row", "gradient_gram"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()), msg=name)


def reference(model: Any, batches: Batches) -> EmbeddingStatistics:
    """The definition: one example at a time, its loss differentiated by every token's own copy of its word vector."""
    table = model.base_model.embeddings.word_embeddings
    row, gram = torch.zeros(table.num_embeddings), torch.zeros(table.embedding_dim, table.embedding_dim)
    for batch in batches:
        for place in range(len(batch["input_ids"])):
            one = {name: tensor[place : place + 1] for name, tensor in batch.items()}
            vectors: list[Tensor] = []

            def separate(module: Any, inputs: Any, output: Tensor, kept: list[Tensor] = vectors) -> Tensor:
                kept.append(output.detach().clone().requires_grad_())
                return kept[0]

            handle = table.register_forward_hook(separate)
            loss = model(**one).loss
            handle.remove()
            (gradients,) = torch.autograd.grad(loss, vectors[0])
            words, there = one["input_ids"].flatten(), one["attention_mask"].flatten().bool()
            for word, gradient, counts in zip(words, gradients.reshape(-1, gradients.shape[-1]), there, strict=True):
                if counts:
                    row[word] += gradient.square().sum()
                    gram += torch.outer(gradient, gradient)
    return EmbeddingStatistics(row, gram)


@pytest.mark.parametrize("collect", [("kfac",), ("row",), ("element",)])
def test_sums_are_those_of_single_tokens(collect: tuple[str, ...], tiny_model: Any, make_batches: MakeBatches) -> None:
    batches = make_batches(10, 4)
    found = collected(tiny_model, batches, collect=collect)
    assert_same(found, reference(tiny_model, batches))
    assert (found.row.shape, found.gradient_gram.shape) == ((25,), (32, 32))
    used = torch.cat([batch["input_ids"][batch["attention_mask"].bool()] for batch in batches]).unique()
    assert found.row.nonzero().flatten().tolist() == used.tolist()
    assert 0 not in used, "padding is no word"
    torch.testing.assert_close(found.row.sum(), found.gradient_gram.trace(), rtol=1e-4, atol=0)


def test_the_choices_of_an_example_are_all_its_tokens(
    make_head: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]]
) -> None:
    model = make_head("BertForMultipleChoice")
    batch = {**head_inputs("BertForMultipleChoice"), "labels": torch.tensor([1])}
    two = {name: torch.cat([tensor, tensor.flip(1) if tensor.ndim > 1 else tensor]) for name, tensor in batch.items()}
    assert_same(collected(model, [two]), reference(model, [two]))


def test_a_word_vector_that_is_also_an_output_counts_as_an_input_only(
    make_head: Callable[..., Any], head_inputs: Callable[[str], dict[str, Tensor]]
) -> None:
    model = make_head("BertForMaskedLM")
    batch = head_inputs("BertForMaskedLM")
    labels = batch["input_ids"].masked_fill(~batch["attention_mask"].bool(), -100)
    found = collected(model, [{**batch, "labels": labels}])
    assert_same(found, reference(model, [{**batch, "labels": labels}]))
    never_read = [word for word in range(25) if word not in batch["input_ids"][batch["attention_mask"].bool()]]
    assert never_read
    assert found.row[never_read].abs().max() == 0


def more_padding(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    longer = {name: torch.nn.functional.pad(batch[name], (0, 5)) for name in ("input_ids", "attention_mask")}
    return {**batch, **longer}


def test_batching_padding_and_splitting_change_nothing(
    tiny_model: Any, make_batches: MakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = collected(tiny_model, make_batches(10, 10))
    for batches in (
        make_batches(10, 1),
        make_batches(10, 3),
        [more_padding(batch) for batch in make_batches(10, 4)],
        list(reversed(make_batches(10, 3))),
    ):
        assert_same(collected(tiny_model, batches), whole)
    monkeypatch.setattr("fwsvd_export.fisher.collect.TOKENS_PER_PASS", 30)
    assert_same(collected(tiny_model, make_batches(10, 10)), whole)


def test_a_batch_without_padding_or_mask_counts_every_token(tiny_model: Any, make_batches: MakeBatches) -> None:
    (batch,) = make_batches(4, 4)
    every = {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}
    absent = {name: batch[name] for name in ("input_ids", "labels")}
    expected = reference(tiny_model, [every])
    assert_same(collected(tiny_model, [every]), expected)
    assert_same(collected(tiny_model, [absent]), expected)
    assert expected.row[0] > 0


def test_the_model_keeps_its_weights_and_gets_no_gradients(tiny_model: Any, make_batches: MakeBatches) -> None:
    before = weights_sha256(tiny_model)
    for parameter in tiny_model.parameters():
        parameter.requires_grad_(False)
    frozen = collected(tiny_model, make_batches(4, 2))
    for parameter in tiny_model.parameters():
        parameter.requires_grad_(True)
    assert_same(collected(tiny_model, make_batches(4, 2)), frozen)
    assert weights_sha256(tiny_model) == before
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


def test_half_precision_models_give_float32_sums(make_head: Callable[..., Any], make_batches: MakeBatches) -> None:
    model = make_head("BertForSequenceClassification").to(torch.bfloat16)
    found = collected(model, make_batches(4, 2))
    assert found.row.dtype == found.gradient_gram.dtype == torch.float32


@pytest.fixture
def shards(tiny_model: Any, make_batches: MakeBatches) -> list[Statistics]:
    return [collect_statistics(tiny_model, [batch], collect=("row",), temperature=1) for batch in make_batches(11, 4)]


def test_shards_merge_to_the_whole_in_any_order(
    shards: list[Statistics], tiny_model: Any, make_batches: MakeBatches
) -> None:
    whole = collected(tiny_model, make_batches(11, 11))
    kept = [shard.embedding.row.clone() for shard in shards if shard.embedding is not None]
    for order in permutations(shards):
        assert_same(merge_statistics(order).embedding, whole)
    assert all(torch.equal(shard.embedding.row, row) for shard, row in zip(shards, kept, strict=True))


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_shard_of_before_leaves_the_merger_without_them(lacking: int, shards: list[Statistics]) -> None:
    shards[lacking] = replace(shards[lacking], embedding=None)
    assert merge_statistics(shards).embedding is None


def test_sums_read_back_are_those_that_were_saved(shards: list[Statistics], tmp_path: Path) -> None:
    save_statistics(shards[0], tmp_path / "fisher.safetensors")
    read = load_statistics(tmp_path / "fisher.safetensors").embedding
    assert read is not None
    assert torch.equal(read.row, shards[0].embedding.row)
    assert torch.equal(read.gradient_gram, shards[0].embedding.gradient_gram)


def test_a_file_of_before_is_read_without_them(shards: list[Statistics], tmp_path: Path) -> None:
    save_statistics(replace(shards[0], embedding=None), tmp_path / "old.safetensors")
    read = load_statistics(tmp_path / "old.safetensors")
    assert read.embedding is None
    assert list(read.layers) == list(shards[0].layers)
    assert b"embedding." not in (tmp_path / "old.safetensors").read_bytes()
