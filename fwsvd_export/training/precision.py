"""The precision that a device trains in."""

from __future__ import annotations

import torch

from fwsvd_export.errors import TrainingError


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
