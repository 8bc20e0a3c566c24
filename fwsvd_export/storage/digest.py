"""Digests of files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

_HASH_BLOCK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def combined_sha256(digests: Mapping[str, str]) -> str:
    """One digest for several files: that of the list which ``sha256sum`` prints of them; of one file its own.

    Args:
        digests: name -> SHA-256 of at least one file.

    Example:
        >>> combined_sha256({"model.safetensors": "ab" * 32}) == "ab" * 32
        True
    """
    if len(digests) == 1:
        return next(iter(digests.values()))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(listed.encode()).hexdigest()
