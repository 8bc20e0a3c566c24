"""A model behind its encoder layers: hidden states in, what pooler and head make of them out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fwsvd_export.architectures.encoder import Encoder


class HeadAlone:
    """A float32 copy of a model's pooler and head, which is called with hidden states.

    Args:
        encoder: of the model, which stays as it is.

    Attributes:
        parameters: of pooler and head, by their names in the model.
    """

    def __init__(self, encoder: Encoder) -> None:
        family = encoder.family
        embeddings = encoder.prefix + family.word_embeddings.rpartition(".")[0]
        layers = encoder.prefix + family.layer.rpartition(".")[0]
        without = _with_modules(encoder.model, {embeddings: _Given(), layers: nn.ModuleList()})
        self._model = copy.deepcopy(without).float()
        self._given = self._model.get_submodule(embeddings)
        self.parameters = dict(self._model.named_parameters())

    def __call__(self, hidden: Tensor) -> Any:
        """The model's outputs for what leaves its last encoder layer, (sequences, length, width), without padding."""
        self._given.hidden = hidden.float()
        ones = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        return self._model(input_ids=ones, attention_mask=ones, return_dict=True)  # nobody looks the ids up


class _Given(nn.Module):
    """Embeddings that are what they were given."""

    hidden: Tensor

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """The hidden states."""
        return self.hidden


def _with_modules(module: nn.Module, others: Mapping[str, nn.Module]) -> Any:
    """A module that shares everything with another one but the modules named, which are replaced."""
    changed = copy.copy(module)
    changed._modules = dict(module._modules)
    inside: dict[str, dict[str, nn.Module]] = {}
    for name, other in others.items():
        child, _, rest = name.partition(".")
        if rest:
            inside.setdefault(child, {})[rest] = other
        else:
            changed._modules[child] = other
    for child, deeper in inside.items():
        changed._modules[child] = _with_modules(module.get_submodule(child), deeper)
    return changed
