"""Sequences of equal length side by side: no padding, and no mask to build, when an encoder is run layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder, given_or
from fwsvd_export.architectures.inputs import IDS, MASK

PACK_TOKENS = 2048  # per forward pass of one layer: enough to run its products at full speed


def packed_sequences(encoder: Encoder, batches: Iterable[Mapping[str, Any]], seed: int) -> list[dict[str, Tensor]]:
    """What ``Encoder.entering`` takes, (sequences, length) each, padding cut out and equally long sequences together.

    Args:
        encoder: of the model that the batches are for.
        batches: what the model takes; the choices of a multiple-choice example are sequences of their own.
        seed: of the order of sequences of one length.
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
    for place in order:
        by_length.setdefault(sequences[place].shape[1], []).append(sequences[place])
    packs = []
    for length, group in sorted(by_length.items()):
        size = max(1, PACK_TOKENS // length)
        for start in range(0, len(group), size):
            packs.append(dict(zip(names, torch.stack(group[start : start + size], dim=1), strict=True)))
    return packs


def entering_states(encoder: Encoder, packs: Iterable[Mapping[str, Tensor]]) -> Iterator[Tensor]:
    """What enters the first encoder layer, (sequences, length, width) for every pack."""
    for pack in packs:
        yield encoder.entering({name: values.to(encoder.device) for name, values in pack.items()})
