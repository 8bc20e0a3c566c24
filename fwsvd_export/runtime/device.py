"""Choosing where the work runs, and keeping its memory small. Imports torch only when a device is asked for."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fwsvd_export.errors import FwsvdExportError, shown

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")  # what --device takes, and cuda:N for one GPU of several
_INDEXED_GPU = re.compile(r"cuda:([0-9]{1,3})")


@dataclass(frozen=True)
class DeviceProfile:
    """How work is divided for one type of device.

    Attributes:
        stack_weights: weights at most in one stack of equal layers that an iterative method works on together; a
            larger layer is a stack of its own.
        stacks_at_once: stacks that are worked on side by side.
        has_float64: whether the device computes in double precision.
    """

    stack_weights: int
    stacks_at_once: int
    has_float64: bool = True


PROFILES = {
    # A processor is fastest with one layer in its caches (half the time of stacks of seven). More than two at once
    # would not be faster on common machines, and each holds copies of its matrices.
    "cpu": DeviceProfile(stack_weights=1, stacks_at_once=2),
    # A GPU is filled by many layers; anderson, the largest, takes about 120 bytes per weight.
    "cuda": DeviceProfile(stack_weights=2**26, stacks_at_once=1),
    "mps": DeviceProfile(stack_weights=1, stacks_at_once=1, has_float64=False),
}
OTHER_DEVICE = DeviceProfile(stack_weights=1, stacks_at_once=1)  # least memory: nothing was measured there


def profile_of(device: torch.device) -> DeviceProfile:
    """How work is divided on a device; one layer at a time on a type that is not in the table."""
    return PROFILES.get(device.type, OTHER_DEVICE)


def check_float64(device: torch.device) -> None:
    """Refuses a device without double precision, which decompositions need.

    Raises:
        FwsvdExportError: it has none; the message says where to work instead.
    """
    if not profile_of(device).has_float64:
        raise _without_float64(device.type)


def check_device_name(name: str) -> None:
    """Refuses what cannot be a device of ``--device``, without looking at the machine.

    Raises:
        FwsvdExportError: an unknown name, or a type of device without double precision.
    """
    if name in PROFILES and not PROFILES[name].has_float64:
        raise _without_float64(name)
    if name not in DEVICES and _INDEXED_GPU.fullmatch(name) is None:
        raise FwsvdExportError(f"device {shown(name)}: one of {', '.join(DEVICES)} and cuda:N (as cuda:1) is allowed")


def device_named(name: str) -> torch.device:
    """The device of ``--device``: "auto" is a GPU where there is one.

    Args:
        name: auto, cpu, cuda or cuda:N, N counted from 0.

    Raises:
        FwsvdExportError: an unknown name, cuda where there is none, or a GPU that this machine does not have.

    Example:
        >>> device_named("cpu")
        device(type='cpu')
    """
    import torch

    check_device_name(name)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if not gpus:
        raise FwsvdExportError(
            f"device {name}: this machine or this build of torch has no CUDA device; use --device cpu"
        )
    indexed = _INDEXED_GPU.fullmatch(name)
    if indexed is None:
        return torch.device("cuda")
    index = int(indexed[1])
    if index >= gpus:
        there = ", ".join(f"cuda:{number}" for number in range(gpus))
        raise FwsvdExportError(f"device {name}: this machine has {there}; use one of them or --device cpu")
    return torch.device("cuda", index)


def release_freed_memory() -> None:
    """Hands memory that this process has freed back to the system, where the C library offers it (glibc).

    The allocator keeps freed activations for later; without this the next stage's peak stands on top of them.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library: it keeps its blocks, nothing else changes
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _without_float64(kind: str) -> FwsvdExportError:
    return FwsvdExportError(
        f"device {kind} has no float64, in which weights are decomposed; use the CPU (--device cpu)"
    )
