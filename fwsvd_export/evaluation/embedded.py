"""Embeddings of batches, by whatever runs the model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fwsvd_export.architectures.embed import Embed
from fwsvd_export.architectures.inputs import MASK
from fwsvd_export.evaluation.forward import Forward


def embeddings(forward: Forward, batch: Mapping[str, Tensor], embed: Embed) -> Tensor:
    """The embeddings of a batch's texts, (sequences, size) float32 on the CPU.

    Args:
        forward: of the model.
        batch: of texts.
        embed: of the model.
    """
    (hidden,) = forward(batch)
    with torch.inference_mode():
        return embed(hidden, batch.get(MASK)).float()
