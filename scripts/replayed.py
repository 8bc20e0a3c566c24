"""A model whose outputs are known, so that the tasks' metrics can be asked of them again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch


class Replayed:
    """A model whose outputs are known: called with numbers of rows."""

    device = torch.device("cpu")

    def __init__(self, outputs: torch.Tensor, config: Any) -> None:
        self.outputs, self.config = outputs, config

    def __call__(self, rows: torch.Tensor) -> SimpleNamespace:
        """The outputs of these rows."""
        return SimpleNamespace(logits=self.outputs[rows])
