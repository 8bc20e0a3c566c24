"""Torch as it is when it was just imported, whatever modes the caller has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def usual_modes(device: torch.device) -> Iterator[None]:
    """Inside the block gradients can be taken and tensors are ordinary ones, in float32 unless said otherwise.

    Undoes ``torch.no_grad()``, ``torch.inference_mode()``, ``torch.autocast``, and other default types and devices. An
    autocast inside the block casts every weight anew: what is cast once is kept until the outermost autocast ends, so
    that a training in the block would go on with the weights that it began with.

    Args:
        device: where the work is done.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False, cache_enabled=False))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
