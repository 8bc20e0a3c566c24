"""The calibration texts of statistics: gathered from batches, and joined when shards are merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder, given_or
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.errors import StatisticsError
from fwsvd_export.wording import counted

LEFT_TO_THE_MODEL = -1  # in place of an input's value, where the batches do not give the input


@dataclass(frozen=True)
class CalibrationSample:
    """The calibration texts as token ids, side by side in the order in which the batches gave them.

    Layer-wise reconstruction needs them. A text is a sequence without the padding behind it; the choices of a
    multiple-choice example are sequences of their own.

    Attributes:
        token_ids: (tokens) int32, the sequences one after the other.
        lengths: (sequences) int32, tokens of each, at least 1.
        attention_mask: (tokens) int32, 0 for padding before or between the tokens; None where there is none.
        inputs: what else the model reads of every token, by the names that ``Encoder.per_token`` gives (positions, and
            token types where the family has them): (tokens) int32 each, -1 in sequences for which the batches left it
            to the model. A name is missing where they all did.
    """

    token_ids: Tensor
    lengths: Tensor
    attention_mask: Tensor | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        masks = {} if self.attention_mask is None else {MASK: self.attention_mask}
        per_token = {"token_ids": self.token_ids, **masks, **self.inputs}
        for name, values in {**per_token, "lengths": self.lengths}.items():
            if values.ndim != 1 or values.dtype != torch.int32 or not len(values):
                raise self._damaged(f"{name} is a {values.dtype} of shape {tuple(values.shape)}")
        tokens = int(self.lengths.sum())
        for name, values in per_token.items():
            if len(values) != tokens:
                raise self._damaged(f"{name} has {counted(len(values), 'number')} for {counted(tokens, 'token')}")
            if int(values.min()) < (LEFT_TO_THE_MODEL if name in self.inputs else 0):
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
        masks = {} if self.attention_mask is None else {MASK: self.attention_mask}
        names = {IDS: self.token_ids, **masks, **self.inputs}
        parts = {name: torch.split(values.long()[None], self.lengths.tolist(), dim=1) for name, values in names.items()}
        batches = [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]
        return [{name: values for name, values in batch.items() if int(values.min()) >= 0} for batch in batches]

    def unmasked(self) -> set[tuple[int, ...]]:
        """Token ids of every sequence, without padding."""
        return {
            tuple(batch[IDS][given_or(batch, MASK, torch.ones_like(batch[IDS])).bool()].tolist())
            for batch in self.batches()
        }


class SampleCollector:
    """Gathers the sequences of batches, cut behind their last unmasked token.

    Args:
        encoder: of the model that the batches are for.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Adds one batch.

        Args:
            batch: ``input_ids`` (..., length) and, of the same shape or one that expands to it, whatever else the model
                takes. A sequence that is all padding is left out.
        """
        inputs = {name: values.int().cpu() for name, values in self._encoder.per_token(batch).items()}
        defaults = self._encoder.per_token({IDS: batch[IDS]})
        ids = inputs.pop(IDS)
        mask = given_or(batch, MASK, torch.ones_like(ids)).int().cpu()
        for name, values in inputs.items():
            default = (values == defaults[name].cpu()).all(dim=1, keepdim=True)
            inputs[name] = values.masked_fill(default, LEFT_TO_THE_MODEL)
        places = torch.arange(1, ids.shape[1] + 1)
        lengths = (places * mask.bool()).amax(dim=1)
        kept = places <= lengths[:, None]
        self._keep("lengths", lengths[lengths > 0].int())
        for name, values in {"token_ids": ids, MASK: mask, **inputs}.items():
            self._keep(name, values[kept])

    def _keep(self, name: str, values: Tensor) -> None:
        self._parts.setdefault(name, []).append(values)

    def finished(self) -> CalibrationSample | None:
        """The record of all sequences; None when there were none."""
        joined = {name: torch.cat(parts) for name, parts in self._parts.items()}
        return _without_defaults(joined) if joined and len(joined["lengths"]) else None


def merge_samples(samples: Sequence[CalibrationSample | None]) -> CalibrationSample | None:
    """The sequences of all samples in the order given; None where one of them is missing."""
    there = [sample for sample in samples if sample is not None]
    if len(there) < len(samples):
        return None

    def joined(parts: Iterable[Tensor | None], default: int) -> Tensor:
        pairs = zip(parts, there, strict=True)
        filled = [torch.full_like(one.token_ids, default) if values is None else values for values, one in pairs]
        return torch.cat(filled)

    names = dict.fromkeys(name for sample in there for name in sample.inputs)
    inputs = {name: joined((sample.inputs.get(name) for sample in there), LEFT_TO_THE_MODEL) for name in names}
    return _without_defaults(
        {
            "token_ids": torch.cat([sample.token_ids for sample in there]),
            "lengths": torch.cat([sample.lengths for sample in there]),
            MASK: joined((sample.attention_mask for sample in there), 1),
            **inputs,
        }
    )


def _without_defaults(joined: dict[str, Tensor]) -> CalibrationSample:
    """The record, without a mask and inputs that say nothing."""
    token_ids, lengths, mask = (joined.pop(name) for name in ("token_ids", "lengths", MASK))
    inputs = {name: values for name, values in joined.items() if bool((values != LEFT_TO_THE_MODEL).any())}
    return CalibrationSample(token_ids, lengths, None if bool((mask == 1).all()) else mask, inputs)
