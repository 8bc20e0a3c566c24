"""How much a model computes: the speed-up that is possible, beside the one that is reached."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fwsvd_export.fisher.hooks import eval_mode


def forward_operations(model: Any, batch_size: int, length: int) -> int:
    """Floating-point operations of the matrix products of one forward pass, attention's too, counted by torch.

    Args:
        model: dense or compressed, in memory.
        batch_size: examples.
        length: tokens of each.
    """
    ids = torch.zeros((batch_size, length), dtype=torch.long, device=model.device)
    plain = sdpa_kernel(SDPBackend.MATH)  # torch does not count what its fused attention does on a CPU
    with eval_mode(model), torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(counter.get_total_flops())
