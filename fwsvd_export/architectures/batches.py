"""The batches that a caller hands over, checked against what the model takes before it sees them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS, LABEL_KEYS, POSITIONS
from fwsvd_export.errors import DataError, shown

if TYPE_CHECKING:
    from torch import Tensor

_WITH_TOKENIZER = "make batches with the tokenizer's return_tensors='pt'"
_WHOLE = ("torch.int64", "torch.int32")  # the types that torch looks up in tables


def checked_batches(encoder: Encoder, batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Tensor]]:
    """The same batches, each checked when its turn comes; tensors made under ``torch.inference_mode()`` are copied.

    Args:
        encoder: of the model that the batches are for.
        batches: what the model takes by keyword, examples first, with labels or without.

    Raises:
        DataError: not several batches but one, or something else; no batch at all; a batch without examples, with
            something that is not a tensor, that the model does not take, of another shape, or outside its tables.
    """
    if isinstance(batches, Mapping):
        raise DataError("one batch is given where several are needed; put it into a list: [batch]")
    if isinstance(batches, str) or not isinstance(batches, Iterable):
        raise DataError(
            f"the batches are of type {type(batches).__name__}: a DataLoader or a list of batches is needed, each a "
            "mapping from the model's argument names to tensors"
        )
    empty = True
    taken = _taken(encoder)
    for batch in batches:
        empty = False
        yield _checked(encoder, batch, taken)
    if empty:
        raise DataError(
            "the batches hold no examples: give at least one batch; a generator that was read before is empty, so make "
            "it anew or give a list"
        )


def _taken(encoder: Encoder) -> tuple[str, ...]:
    """What the model takes beside labels, positions too where its class does."""
    more = [POSITIONS] if POSITIONS in inspect.signature(type(encoder.model).forward).parameters else []
    return (*encoder.family.inputs, *more)


def _checked(encoder: Encoder, batch: Mapping[str, Any], taken: tuple[str, ...]) -> dict[str, Tensor]:
    """One batch, as tensors."""
    import torch

    if not isinstance(batch, Mapping):
        raise DataError(
            f"a batch is a {type(batch).__name__}; a mapping from the model's argument names to tensors is needed"
        )
    if IDS not in batch:
        raise DataError(f"a batch has {', '.join(map(str, batch)) or 'nothing'}: {IDS} are needed; {_WITH_TOKENIZER}")
    for name, value in batch.items():
        if name not in taken and name not in LABEL_KEYS:
            raise DataError(
                f"a batch has {shown(name)}, which {encoder.dense_class_name} does not take: it takes "
                f"{', '.join(taken)} and labels; leave the rest out of the batches"
            )
        if not isinstance(value, torch.Tensor):
            raise DataError(f"a batch's {name} are a {type(value).__name__}: a tensor is needed; {_WITH_TOKENIZER}")
    tensors = {name: value.clone() if value.is_inference() else value for name, value in batch.items()}
    _check_shapes(encoder, tensors)
    _check_ranges(encoder, tensors)
    ids = tensors[IDS]
    return {name: value if name in LABEL_KEYS else value.expand_as(ids) for name, value in tensors.items()}


def _check_shapes(encoder: Encoder, batch: Mapping[str, Tensor]) -> None:
    """Refuses token ids that are not (examples, tokens), and what does not belong to the same examples and tokens."""
    ids = batch[IDS]
    needed = ("examples", "choices", "tokens") if encoder.head.has_choices else ("examples", "tokens")
    if ids.dim() != len(needed) or not ids.numel():
        raise DataError(
            f"a batch's {IDS} have the shape {tuple(ids.shape)}: ({', '.join(needed)}) is needed, at least 1 each; "
            f"{_WITH_TOKENIZER}"
        )
    for name, values in batch.items():
        allowed = values.shape[:1] == ids.shape[:1] if name in LABEL_KEYS else _expands(values, ids)
        if not allowed:
            raise DataError(
                f"a batch's {name} have the shape {tuple(values.shape)} and its {IDS} {tuple(ids.shape)}: both are of "
                "the same examples" + ("" if name in LABEL_KEYS else " and tokens") + "; give one per example"
            )


def _expands(values: Tensor, ids: Tensor) -> bool:
    """Whether the values are those of the token ids: one row for each, or one for all."""
    return values.shape[1:] == ids.shape[1:] and values.shape[0] in (1, ids.shape[0])


def _check_ranges(encoder: Encoder, batch: Mapping[str, Tensor]) -> None:
    """Refuses what would be looked up outside the model's tables."""
    length = batch[IDS].shape[-1]
    if length > encoder.usable_length:
        raise DataError(
            f"a batch has {length:,} tokens per example, and the model takes {encoder.usable_length:,}; cut the texts "
            f"with the tokenizer's truncation=True, max_length={encoder.usable_length}"
        )
    for name, known in {**encoder.ranges, POSITIONS: encoder.positions}.items():
        if (values := batch.get(name)) is None:
            continue
        if str(values.dtype) not in _WHOLE:
            kind = str(values.dtype).removeprefix("torch.")
            raise DataError(f"a batch's {name} are {kind}: whole numbers (int64) are needed; {_WITH_TOKENIZER}")
        least, most = int(values.min()), int(values.max())
        if least < 0 or most >= known:
            raise DataError(
                f"a batch has {name} {least if least < 0 else most}, and the model knows 0 to {known - 1}; use the "
                "tokenizer that belongs to the model"
            )
