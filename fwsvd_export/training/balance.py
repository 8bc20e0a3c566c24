"""Factors of one product, rewritten so that both are of one size: the same step then changes both alike."""

from __future__ import annotations

import torch

from fwsvd_export.architectures.encoder import Encoder


@torch.no_grad()
def balance_factors(encoder: Encoder) -> int:
    """Rewrites up @ down of every factorised linear layer as (U √S) (√S V^T), from the product's SVD U S V^T.

    The product stays as it is but for rounding. Closed forms leave whitened factors, of which one may be a thousand
    times larger than the other; Adam moves every element by about the learning rate, whatever its size.

    Args:
        encoder: of the model; its layers are written to.

    Returns:
        How many layers are factorised.

    Example:
        >>> import fwsvd_export as fe
        >>> from fwsvd_export.architectures.registry import encoder_of
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> small = fe.compress(BertModel(config), method="svd", rank=4)
        >>> balance_factors(encoder_of(small))
        6
        >>> layer = small.encoder.layer[0].output.dense
        >>> bool((layer.up.weight.norm() - layer.down.weight.norm()).abs() < 1e-5)
        True
    """
    factorised = [
        layer for layer in map(encoder.module, (spec.name for spec in encoder.layers)) if hasattr(layer, "up")
    ]
    for layer in factorised:
        up, down = layer.up.weight.double(), layer.down.weight.double()
        left, left_rest = torch.linalg.qr(up)  # (out, rank), (rank, rank)
        right, right_rest = torch.linalg.qr(down.T)  # (in, rank), (rank, rank)
        vectors, sizes, others = torch.linalg.svd(left_rest @ right_rest.T)
        root = sizes.sqrt()
        layer.up.weight.copy_(left @ (vectors * root))
        layer.down.weight.copy_((root[:, None] * others) @ right.T)
    return len(factorised)
