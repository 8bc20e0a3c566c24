"""An encoder run one layer at a time, on sequences of equal length side by side: no padding, and no mask to build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.registry import any_family_of, base_of

PACK_TOKENS = 2048  # per forward pass of one layer: enough to run its products at full speed


def packed_sequences(batches: Iterable[Mapping[str, Any]], most_tokens: int, seed: int) -> list[dict[str, Tensor]]:
    """What the embeddings take, (sequences, length) each, with padding cut out and equally long sequences together.

    Args:
        batches: ``input_ids`` and, where they have them, ``attention_mask``, ``token_type_ids``, ``position_ids``; the
            choices of a multiple-choice example are sequences of their own.
        most_tokens: sequences are taken in random order until they hold this many tokens.
        seed: of that order.
    """
    sequences = [sequence for batch in batches for sequence in _sequences(batch)]
    order = torch.randperm(len(sequences), generator=torch.Generator().manual_seed(seed)).tolist()
    by_length: dict[int, list[Tensor]] = {}
    tokens = 0
    for place in order:
        length = sequences[place].shape[1]
        if tokens + length > most_tokens and tokens:
            break
        by_length.setdefault(length, []).append(sequences[place])
        tokens += length
    packs = []
    for length, group in sorted(by_length.items()):
        size = max(1, PACK_TOKENS // length)
        for start in range(0, len(group), size):
            ids, types, positions = torch.stack(group[start : start + size], dim=1)
            packs.append({"input_ids": ids, "token_type_ids": types, "position_ids": positions})
    return packs


def entering_states(model: Any, packs: Iterable[Mapping[str, Tensor]]) -> list[Tensor]:
    """What enters the first encoder layer, (sequences, length, width) for every pack."""
    family = any_family_of(model.config)
    embeddings = base_of(model).get_submodule(family.embeddings)
    return [embeddings(**{name: values.to(model.device) for name, values in pack.items()}) for pack in packs]


def attention_context(layer: Any, hidden: Tensor) -> Tensor:
    """What the attention of one BERT layer hands to its output projection, (sequences, length, width)."""
    context: Tensor = layer.attention.self(hidden)[0]
    return context


def _sequences(batch: Mapping[str, Any]) -> list[Tensor]:
    """Each sequence as (3, length): token, type and position numbers where the mask has a one."""
    ids = batch["input_ids"].reshape(-1, batch["input_ids"].shape[-1])

    def shaped(name: str, default: Tensor) -> Tensor:
        values = batch.get(name)
        return default.expand_as(ids) if values is None else values.reshape(-1, values.shape[-1]).expand_as(ids)

    mask = shaped("attention_mask", torch.ones_like(ids)).bool()
    types = shaped("token_type_ids", torch.zeros_like(ids))
    positions = shaped("position_ids", torch.arange(ids.shape[1], device=ids.device))
    stacked = torch.stack([ids, types, positions], dim=1).cpu()
    return [row[:, keep] for row, keep in zip(stacked, mask.cpu(), strict=True) if bool(keep.any())]
