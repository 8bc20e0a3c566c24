"""Merging statistics that were collected on shards of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from torch import Tensor

from fwsvd_export.errors import StatisticsError
from fwsvd_export.records import EmbeddingStatistics, LayerStatistics, Statistics


def merge_statistics(shards: Sequence[Statistics]) -> Statistics:
    """The statistics of all shards together; the order does not matter beyond rounding.

    Raises:
        StatisticsError: no shards, or shards of different models, collections or label sources.
    """
    if not shards:
        raise StatisticsError("no statistics to merge; give at least one")
    first = shards[0]
    for other in shards[1:]:
        for what, mine, its in (
            ("models", first.source.model_sha256, other.source.model_sha256),
            ("collections", first.collected, other.collected),
            ("label sources", first.source.labels, other.source.labels),
        ):
            if mine != its:
                raise StatisticsError(f"statistics of different {what} cannot be merged: {mine} and {its}")
    merged_grams: dict[int, Tensor] = {}
    layers = {name: _merge([shard.layers[name] for shard in shards], merged_grams) for name in first.layers}
    examples = sum(shard.examples for shard in shards)
    tokens = sum(shard.tokens for shard in shards)
    return Statistics(layers, examples, tokens, first.collected, first.source, _merged_embedding(shards))


def _merge(parts: list[LayerStatistics], merged_grams: dict[int, Tensor]) -> LayerStatistics:
    """One layer's sums; an input Gram that layers share stays shared."""
    added: dict[str, Tensor | None] = {}
    for field in fields(LayerStatistics):
        tensors: list[Tensor] = [value for part in parts if (value := getattr(part, field.name)) is not None]
        if not tensors:
            added[field.name] = None
        elif field.name == "input_gram":
            added[field.name] = merged_grams.setdefault(id(tensors[0]), _total(tensors))
        else:
            added[field.name] = _total(tensors)
    return LayerStatistics(**added)


def _merged_embedding(shards: Sequence[Statistics]) -> EmbeddingStatistics | None:
    """The word embeddings' sums, when every shard has them."""
    parts = [shard.embedding for shard in shards if shard.embedding is not None]
    if len(parts) < len(shards):
        return None
    return EmbeddingStatistics(_total([part.row for part in parts]), _total([part.gradient_gram for part in parts]))


def _total(tensors: list[Tensor]) -> Tensor:
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total += tensor
    return total
