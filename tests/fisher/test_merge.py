from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import pytest
import torch

from fwsvd_export.errors import StatisticsError
from fwsvd_export.fisher import collect_statistics, merge_statistics
from fwsvd_export.records import LayerStatistics, Statistics, StatisticsSource

EVERYTHING = ("kfac", "row", "element")


@pytest.fixture
def shards(tiny_model: Any, make_batches: Callable[..., Any]) -> list[Statistics]:
    return [collect_statistics(tiny_model, [batch], collect=EVERYTHING) for batch in make_batches(11, 4)]


def test_shards_merge_to_the_whole_in_any_order(
    shards: list[Statistics],
    tiny_model: Any,
    make_batches: Callable[..., Any],
    assert_same: Callable[[Statistics, Statistics], None],
) -> None:
    whole = collect_statistics(tiny_model, make_batches(11, 11), collect=EVERYTHING)
    for order in permutations(shards):
        assert_same(merge_statistics(order), whole)
    nested = merge_statistics([merge_statistics(shards[:2]), shards[2]])
    assert_same(nested, whole)


def test_merging_keeps_shared_grams_shared_and_the_shards_untouched(shards: list[Statistics]) -> None:
    before = [{name: layer.input_gram.clone() for name, layer in shard.layers.items()} for shard in shards]
    layers = merge_statistics(shards).layers
    attention = "encoder.layer.0.attention.self"
    assert layers[f"{attention}.query"].input_gram is layers[f"{attention}.value"].input_gram
    assert len({id(layer.input_gram) for layer in layers.values()}) == 2 * 4
    for shard, grams in zip(shards, before, strict=True):
        assert all(torch.equal(shard.layers[name].input_gram, gram) for name, gram in grams.items())


def test_one_shard_merges_to_itself(
    shards: list[Statistics], assert_same: Callable[[Statistics, Statistics], None]
) -> None:
    merged = merge_statistics(shards[:1])
    assert_same(merged, shards[0])
    assert merged.source == shards[0].source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": {"model_sha256": "other"}},
            "different models cannot be merged: .* in shard 1 and other in shard 2",
        ),
        (
            {"source": {"labels": "sampled"}},
            "different label sources cannot be merged: data in shard 1 and sampled in shard 2",
        ),
        ({"collected": ("kfac",)}, "different collections cannot be merged"),
    ],
)
def test_shards_that_differ_are_refused(shards: list[Statistics], changes: dict[str, Any], message: str) -> None:
    if "source" in changes:
        changes = {"source": replace(shards[0].source, **changes["source"])}
    with pytest.raises(StatisticsError, match=message):
        merge_statistics([shards[0], replace(shards[1], **changes)])


def test_shards_that_differ_are_called_by_the_names_given(shards: list[Statistics]) -> None:
    with pytest.raises(StatisticsError, match="kfac,row,element in a and kfac in c"):
        merge_statistics([*shards[:2], replace(shards[2], collected=("kfac",))], ["a", "b", "c"])


@pytest.mark.parametrize("damage", ["layer gone", "sum gone", "sum cut", "embedding cut"])
def test_sums_of_other_sizes_are_refused(damage: str, shards: list[Statistics]) -> None:
    layers, embedding = dict(shards[1].layers), shards[1].embedding
    name, layer = next(iter(layers.items()))
    if damage == "layer gone":
        del layers[name]
    elif damage == "embedding cut":
        embedding = replace(embedding, row=embedding.row[:3])
    else:
        layers[name] = replace(layer, element=None if damage == "sum gone" else layer.element[:3])
    with pytest.raises(StatisticsError, match=r"sums in shard 1 and shard 2 .* the same sizes.*collect again"):
        merge_statistics([shards[0], replace(shards[1], layers=layers, embedding=embedding)])


def test_samples_are_joined_in_the_order_given(shards: list[Statistics]) -> None:
    first, second, third = (shard.sample for shard in shards)
    merged = merge_statistics([shards[2], shards[0], shards[1]]).sample
    assert torch.equal(merged.token_ids, torch.cat([third.token_ids, first.token_ids, second.token_ids]))
    assert torch.equal(merged.lengths, torch.cat([third.lengths, first.lengths, second.lengths]))


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_shard_without_a_sample_leaves_the_whole_without_one(lacking: int, shards: list[Statistics]) -> None:
    shards[lacking] = replace(shards[lacking], sample=None)
    merged = merge_statistics(shards)
    assert merged.sample is None
    assert merged.examples == 11


def test_the_source_of_shards_says_what_they_have_in_common(shards: list[Statistics]) -> None:
    def merged(*changes: dict[str, Any]) -> StatisticsSource:
        sources = [replace(shards[0].source, **change) for change in changes]
        return merge_statistics([replace(shards[0], source=source) for source in sources]).source

    one = {"task": "sst2", "data": "a.jsonl", "max_length": 64, "seed": 3}
    assert merged(one, one) == replace(shards[0].source, **one)
    other = merged(one, {**one, "data": "b.jsonl", "max_length": 128}, {**one, "task": "cola"})
    assert other == replace(shards[0].source, data="a.jsonl, b.jsonl", seed=3)
    many = merged(*({"data": f"{place:060}.jsonl"} for place in range(9)))
    assert many.data == f"{0:060}.jsonl and 8 more"


@pytest.mark.parametrize("labels", ["data", "sampled"])
def test_four_shards_of_examples_give_the_sums_of_one_run(
    labels: str, tiny_model: Any, make_batches: Callable[..., Any]
) -> None:
    batches = make_batches(22, 1)
    whole = collect_statistics(tiny_model, batches, collect=EVERYTHING, labels=labels)
    shares = [range(part, 22, 4) for part in range(4)]
    merged = merge_statistics([collected_on(tiny_model, batches, share, labels) for share in shares])
    for name, layer in whole.layers.items():
        for field in fields(LayerStatistics):
            theirs, ours = getattr(layer, field.name), getattr(merged.layers[name], field.name)
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))
    assert (merged.examples, merged.tokens) == (22, whole.tokens)


def test_two_shards_draw_different_labels(tiny_model: Any, make_batches: Callable[..., Any]) -> None:
    (batch,) = make_batches(1, 1)
    same_text = [batch] * 16
    first, again, second = (
        collected_on(tiny_model, same_text, share, "sampled", range(8)) for share in (range(8), range(8), range(8, 16))
    )
    name = "encoder.layer.0.output.dense"
    assert torch.equal(first.layers[name].gradient_gram, again.layers[name].gradient_gram)
    assert not torch.allclose(first.layers[name].gradient_gram, second.layers[name].gradient_gram, rtol=1e-3)


def collected_on(model: Any, batches: Any, indices: range, labels: str, places: range | None = None) -> Statistics:
    """Statistics of single examples, drawn for under these indices."""
    chosen = [batches[place] for place in places or indices]
    return collect_statistics(model, chosen, collect=EVERYTHING, labels=labels, example_indices=indices)


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(StatisticsError, match="no statistics to merge; give at least one"):
        merge_statistics([])
