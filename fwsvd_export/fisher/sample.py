"""The calibration texts of statistics: gathered from batches, and joined when shards are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.errors import StatisticsError

# What a sample has beside token ids -> the number that stands for "not given"
SAMPLE_DEFAULTS = {"token_type_ids": 0, "position_ids": -1, "attention_mask": 1}


@dataclass(frozen=True)
class CalibrationSample:
    """The calibration texts as token ids, side by side in the order in which the batches gave them.

    Layer-wise reconstruction needs them. A text is a sequence without the padding behind it; the choices of a
    multiple-choice example are sequences of their own.

    Attributes:
        token_ids: (tokens) int32, the sequences one after the other.
        lengths: (sequences) int32, tokens of each, at least 1.
        token_type_ids: (tokens) int32; None where all are 0.
        position_ids: (tokens) int32, -1 where the batches leave it to the model; None where they all do.
        attention_mask: (tokens) int32, 0 for padding before or between the tokens; None where there is none.
    """

    token_ids: Tensor
    lengths: Tensor
    token_type_ids: Tensor | None = None
    position_ids: Tensor | None = None
    attention_mask: Tensor | None = None

    def __post_init__(self) -> None:
        per_token = {name: getattr(self, name) for name in ("token_ids", *SAMPLE_DEFAULTS)}
        there = {name: values for name, values in per_token.items() if values is not None}
        for name, values in {**there, "lengths": self.lengths}.items():
            if values.ndim != 1 or values.dtype != torch.int32 or not len(values):
                raise self._damaged(f"{name} is a {values.dtype} of shape {tuple(values.shape)}")
        tokens = int(self.lengths.sum())
        for name, values in there.items():
            if len(values) != tokens:
                raise self._damaged(f"{name} has {len(values):,} numbers for {tokens:,} tokens")
            if int(values.min()) < (-1 if name == "position_ids" else 0):
                raise self._damaged(f"{name} has the number {int(values.min())}")
        if int(self.lengths.min()) < 1:
            raise self._damaged(f"a sequence has {int(self.lengths.min())} tokens")

    @staticmethod
    def _damaged(what: str) -> StatisticsError:
        return StatisticsError(f"the calibration sample is damaged: {what}; collect again with fwsvd-export fisher")

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return len(self.lengths)

    def batches(self) -> list[dict[str, Tensor]]:
        """Every sequence as a batch of its own, (1, length) int64, by the names that models take."""
        parts: dict[str, Any] = {"input_ids": self._split(self.token_ids)}
        for name in SAMPLE_DEFAULTS:
            if (values := getattr(self, name)) is not None:
                parts[name] = self._split(values)
        batches = [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]
        for batch in batches:
            if "position_ids" in batch and bool((batch["position_ids"] < 0).any()):
                del batch["position_ids"]
        return batches

    def unmasked(self) -> set[tuple[int, ...]]:
        """Token ids of every sequence, without padding."""
        return {
            tuple(ids[batch["attention_mask"].bool()].tolist() if "attention_mask" in batch else ids[0].tolist())
            for batch in self.batches()
            for ids in [batch["input_ids"]]
        }

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values.long()[None], self.lengths.tolist(), dim=1)


class SampleCollector:
    """Gathers the sequences of batches, cut behind their last unmasked token."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {name: [] for name in ("token_ids", "lengths", *SAMPLE_DEFAULTS)}

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Adds one batch.

        Args:
            batch: ``input_ids`` (..., length) and, of the same shape or one that expands to it, ``attention_mask``,
                ``token_type_ids`` and ``position_ids``. A sequence that is all padding is left out.
        """
        ids = batch["input_ids"].reshape(-1, batch["input_ids"].shape[-1]).int().cpu()
        values = {name: _shaped(batch.get(name), ids, default) for name, default in SAMPLE_DEFAULTS.items()}
        places = torch.arange(1, ids.shape[1] + 1)
        lengths = (places * values["attention_mask"].bool()).amax(dim=1)
        kept = places <= lengths[:, None]
        self._parts["lengths"].append(lengths[lengths > 0].int())
        for name, tensor in {"token_ids": ids, **values}.items():
            self._parts[name].append(tensor[kept])

    def finished(self) -> CalibrationSample | None:
        """The record of all sequences; None when there were none."""
        joined = {name: torch.cat(parts) for name, parts in self._parts.items() if parts}
        return _without_defaults(joined) if joined and len(joined["lengths"]) else None


def merge_samples(samples: Sequence[CalibrationSample | None]) -> CalibrationSample | None:
    """The sequences of all samples in the order given; None where one of them is missing."""
    there = [sample for sample in samples if sample is not None]
    if len(there) < len(samples):
        return None
    joined = {name: torch.cat([getattr(sample, name) for sample in there]) for name in ("token_ids", "lengths")}
    for name, default in SAMPLE_DEFAULTS.items():
        parts = [(getattr(sample, name), sample.token_ids) for sample in there]
        joined[name] = torch.cat([torch.full_like(ids, default) if part is None else part for part, ids in parts])
    return _without_defaults(joined)


def _shaped(values: Tensor | None, ids: Tensor, default: int) -> Tensor:
    """Values for every token id (sequences, length), int32; the default where there are none."""
    if values is None:
        return torch.full_like(ids, default)
    return values.reshape(-1, values.shape[-1]).int().cpu().expand_as(ids)


def _without_defaults(joined: dict[str, Tensor]) -> CalibrationSample:
    """The record, without what says nothing."""
    silent = {name for name, default in SAMPLE_DEFAULTS.items() if bool((joined[name] == default).all())}
    return CalibrationSample(**{name: values for name, values in joined.items() if name not in silent})
