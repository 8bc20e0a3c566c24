"""Merging statistics that were collected on shards of the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from torch import Tensor

from fwsvd_export.errors import StatisticsError, shown
from fwsvd_export.fisher.sample import merge_samples
from fwsvd_export.records import EmbeddingStatistics, LayerStatistics, Statistics, StatisticsSource

DATA_SEPARATOR = ", "  # between the names of the data of several shards
_LONGEST_NAME = 400  # of the data, in letters: a record of a compressed model holds at most 500


def merge_statistics(shards: Sequence[Statistics], names: Sequence[str] | None = None) -> Statistics:
    """The statistics of all shards together: sums and counts are added, calibration samples joined.

    Args:
        shards: of one model, in any order; their samples are joined in the order given. Sums do not depend on it
            beyond rounding. One shard without a sample leaves the whole without one.
        names: what an error calls the shards; None for "shard 1", "shard 2", …

    Raises:
        StatisticsError: no shards, or shards of different models, collections, label sources or sizes.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> from fwsvd_export import collect_statistics
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> model = BertForSequenceClassification(config)
        >>> batch = {"input_ids": torch.tensor([[1, 2, 3]]), "labels": torch.tensor([1])}
        >>> shards = [collect_statistics(model, [batch], example_indices=[index]) for index in range(2)]
        >>> merge_statistics(shards).examples
        2
    """
    if isinstance(shards, Statistics) or not isinstance(shards, Iterable):
        raise StatisticsError(f"shards are of type {type(shards).__name__}: a list of statistics is needed")
    shards = list(shards)
    if not shards:
        raise StatisticsError("no statistics to merge; give at least one")
    for shard in shards:
        if not isinstance(shard, Statistics):
            raise StatisticsError(
                f"a shard is {shown(shard)}: what collect_statistics returns is needed; read files with load_statistics"
            )
    if names is not None and len(names) != len(shards):
        raise StatisticsError(f"{len(names)} names for {len(shards)} shards; give one name per shard, or none at all")
    names = names or [f"shard {place + 1}" for place in range(len(shards))]
    first = shards[0]
    for other, name in zip(shards[1:], names[1:], strict=True):
        _check_made_alike(first, other, (names[0], name))
        if not _alike(first, other):
            raise StatisticsError(
                f"the sums in {names[0]} and {name} do not have the same sizes, so one of the two is damaged; collect "
                "again with fwsvd-export fisher"
            )
    merged_grams: dict[int, Tensor] = {}
    layers = {name: _merge([shard.layers[name] for shard in shards], merged_grams) for name in first.layers}
    examples = sum(shard.examples for shard in shards)
    tokens = sum(shard.tokens for shard in shards)
    sample = merge_samples([shard.sample for shard in shards])
    source = _merged_source([shard.source for shard in shards])
    return Statistics(layers, examples, tokens, first.collected, source, _merged_embedding(shards), sample)


def _check_made_alike(first: Statistics, other: Statistics, names: tuple[str, str]) -> None:
    """Refuses sums of different things."""
    for what, mine, its in (
        ("models", first.source.model_sha256, other.source.model_sha256),
        ("collections", ",".join(first.collected), ",".join(other.collected)),
        ("label sources", first.source.labels, other.source.labels),
        ("embeddings", str(first.source.embedding), str(other.source.embedding)),
        ("temperatures", f"{first.source.temperature:g}", f"{other.source.temperature:g}"),
    ):
        if mine != its:
            raise StatisticsError(
                f"statistics of different {what} cannot be merged: {mine} in {names[0]} and {its} in {names[1]}; "
                "collect all shards of one model in the same way"
            )


def _merged_source(sources: Sequence[StatisticsSource]) -> StatisticsSource:
    """The first source, with the names of all data; task and length are left open where they differ."""
    names = list(dict.fromkeys(source.data for source in sources if source.data is not None))
    data = DATA_SEPARATOR.join(names) or None
    if data is not None and len(data) > _LONGEST_NAME:
        data = f"{names[0]} and {len(names) - 1} more"
    first = sources[0]
    same_task = all(source.task == first.task for source in sources)
    same_length = all(source.max_length == first.max_length for source in sources)
    return replace(
        first, data=data, task=first.task if same_task else None, max_length=first.max_length if same_length else None
    )


def _shapes(layers: Mapping[str, LayerStatistics]) -> dict[str, tuple[int, ...]]:
    """Of every sum that is there."""
    return {
        f"{name}.{field.name}": tuple(tensor.shape)
        for name, layer in layers.items()
        for field in fields(LayerStatistics)
        if (tensor := getattr(layer, field.name)) is not None
    }


def _alike(one: Statistics, other: Statistics) -> bool:
    """Whether both have sums of the same sizes; those of the word embeddings may be missing from either."""
    embeddings = [statistics.embedding for statistics in (one, other) if statistics.embedding is not None]
    widths = {(part.row.shape, part.gradient_gram.shape) for part in embeddings}
    return _shapes(one.layers) == _shapes(other.layers) and len(widths) <= 1


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
