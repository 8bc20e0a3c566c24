"""The precision that a device trains in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from fwsvd_export.errors import TrainingError
from fwsvd_export.runtime.processes import processes
from fwsvd_export.training.settings import TrainingSettings

_VARIABLE = "ACCELERATE_MIXED_PRECISION"
_ACCELERATES = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
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


def settings_on(device: torch.device, settings: TrainingSettings) -> TrainingSettings:
    """Settings whose precision is the one that a device trains in.

    Raises:
        TrainingError: the device does not have what was asked for.
    """
    return replace(settings, precision=precision_of(settings.precision, device))


def check_device(device: torch.device) -> None:
    """Refuses a GPU that is not the first one that this process sees: transformers' Trainer takes that one.

    Raises:
        TrainingError: it is another one.
    """
    if device.type == "cuda" and device.index not in (None, 0) and processes() == 1:
        raise TrainingError(
            f"device {device}: training runs on the first GPU that a process sees; give --device cuda, with the "
            f"variable CUDA_VISIBLE_DEVICES={device.index} set"
        )


@contextmanager
def only_precision(precision: str) -> Iterator[None]:
    """Inside the block accelerate trains in one precision, whatever it was configured for or trained in before.

    It reads its precision from the environment, where its launcher and earlier trainings of the process leave theirs.
    """
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = _ACCELERATES[precision]
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


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
