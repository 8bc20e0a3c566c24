"""What a safetensors file says of its tensors, without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fwsvd_export.errors import CheckpointError, listed, message_of

_MOST_NAMED = 3  # in one sentence


@dataclass(frozen=True)
class StoredTensor:
    """What a safetensors header says of a tensor; ``dtype`` is its own name for it (F32, BF16, I64, …)."""

    dtype: str
    shape: tuple[int, ...]


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Every tensor in a safetensors file by name; the numbers are not read.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            parts = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - safe_open is no dict
            return {name: StoredTensor(str(part.get_dtype()), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{file} cannot be read: {message_of(error)}") from error


def named(tensors: Iterable[str]) -> str:
    """Names of tensors as a sentence lists them: the first few, as they are long, and how many more there are."""
    return listed(tensors, _MOST_NAMED)
