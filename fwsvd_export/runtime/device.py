"""Choosing where the work runs, and keeping its memory small."""

import ctypes
import sys
from contextlib import suppress

import torch

from fwsvd_export.errors import FwsvdExportError

DEVICES = ("auto", "cpu", "cuda")


def device_named(name: str) -> torch.device:
    """The device of ``--device``: "auto" is a GPU where there is one.

    Raises:
        FwsvdExportError: an unknown name, or cuda where there is none.
    """
    if name not in DEVICES:
        raise FwsvdExportError(f"device {name!r}: one of {', '.join(DEVICES)} is allowed")
    if name == "cuda" and not torch.cuda.is_available():
        raise FwsvdExportError("device cuda: this machine or this build of torch has no CUDA device; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def release_freed_memory() -> None:
    """Hands memory that this process has freed back to the system, where the C library offers it (glibc).

    The allocator keeps freed activations for later; without this the next stage's peak stands on top of them.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library: it keeps its blocks, nothing else changes
            ctypes.CDLL("libc.so.6").malloc_trim(0)
