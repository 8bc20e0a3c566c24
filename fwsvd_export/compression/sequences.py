"""Sequences of equal length side by side: no padding, and no mask to build, when an encoder is run layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import IDS, MASK, Encoder, given_or

PACK_TOKENS = 2048  # per forward pass of one layer: enough to run its products at full speed


def packed_sequences(
    encoder: Encoder, batches: Iterable[Mapping[str, Any]], most_tokens: int, seed: int
) -> list[dict[str, Tensor]]:
    """What ``Encoder.entering`` takes, (sequences, length) each, padding cut out and equally long sequences together.

    Args:
        encoder: of the model that the batches are for.
        batches: what the model takes; the choices of a multiple-choice example are sequences of their own.
        most_tokens: sequences are taken in random order until they hold this many tokens.
        seed: of that order.
    """
    names: tuple[str, ...] = ()
    sequences: list[Tensor] = []
    for batch in batches:
        inputs = encoder.per_token(batch)
        names = tuple(inputs)
        mask = given_or(batch, MASK, torch.ones_like(inputs[IDS])).bool().cpu()
        stacked = torch.stack(list(inputs.values()), dim=1).cpu()  # (sequences, inputs, length)
        sequences += [row[:, keep] for row, keep in zip(stacked, mask, strict=True) if bool(keep.any())]
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
            packs.append(dict(zip(names, torch.stack(group[start : start + size], dim=1), strict=True)))
    return packs


def entering_states(encoder: Encoder, packs: Iterable[Mapping[str, Tensor]]) -> list[Tensor]:
    """What enters the first encoder layer, (sequences, length, width) for every pack."""
    return [encoder.entering({name: values.to(encoder.device) for name, values in pack.items()}) for pack in packs]
