"""The precision that a device trains in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fwsvd_export.errors import TrainingError

_REPLACED = ("forward", "_original_forward")  # of a module, by accelerate


def precision_of(asked: str, device: torch.device) -> str:
    """The precision of training on a device: "float32", or that of autocast.

    Args:
        asked: one of ``settings.PRECISIONS``; "auto" is bfloat16 on a GPU that computes in it, else float32.
        device: of the model.

    Raises:
        TrainingError: the device does not have what was asked for.

    Example:
        >>> precision_of("auto", torch.device("cpu"))
        'float32'
    """
    has_bfloat16 = device.type == "cpu" or (
        device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    if asked == "auto":
        return "bfloat16" if device.type == "cuda" and has_bfloat16 else "float32"
    if asked == "bfloat16" and not has_bfloat16:
        raise TrainingError(f"precision bfloat16: this {device.type} does not have it; use float32 or float16")
    if asked == "float16" and device.type != "cuda":
        raise TrainingError(
            f"precision float16: device {device.type} does not train in it, only a GPU does (--device cuda); use "
            "float32 or bfloat16"
        )
    return asked


@contextmanager
def own_forward(model: Any) -> Iterator[None]:
    """Inside the block a model computes in the type of its weights, as its saved copy will.

    accelerate puts a function that enters autocast in the place of the model's ``forward``, and leaves it there.
    """
    replaced = {name: model.__dict__.pop(name) for name in _REPLACED if name in model.__dict__}
    try:
        yield
    finally:
        model.__dict__.update(replaced)


def restore_forward(model: Any) -> None:
    """Removes what accelerate put in the place of a model's ``forward``."""
    for name in _REPLACED:
        model.__dict__.pop(name, None)
