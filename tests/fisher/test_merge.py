from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch

from fwsvd_export.errors import StatisticsError
from fwsvd_export.fisher import collect_statistics, merge_statistics
from fwsvd_export.records import Statistics

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
        ({"source": {"model_sha256": "other"}}, "different models cannot be merged: .* and other"),
        ({"source": {"labels": "sampled"}}, "different label sources cannot be merged: data and sampled"),
        ({"collected": ("kfac",)}, "different collections cannot be merged"),
    ],
)
def test_shards_that_differ_are_refused(shards: list[Statistics], changes: dict[str, Any], message: str) -> None:
    if "source" in changes:
        changes = {"source": replace(shards[0].source, **changes["source"])}
    with pytest.raises(StatisticsError, match=message):
        merge_statistics([shards[0], replace(shards[1], **changes)])


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(StatisticsError, match="no statistics to merge; give at least one"):
        merge_statistics([])
