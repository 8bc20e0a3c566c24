"""A model behind its encoder layers: hidden states in, what pooler and head make of them out."""

from __future__ import annotations

import copy
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
        model: Any = encoder.model
        self._given = _Given(getattr(encoder.base, "pooler", None), encoder.closing)
        without: Any = self._given
        if encoder.base is not model:
            without = copy.copy(model)  # shares everything with the model but the base
            without._modules = {**model._modules, model.base_model_prefix: self._given}
        self._model = copy.deepcopy(without).float()
        self._given = self._model if encoder.base is model else self._model.get_submodule(model.base_model_prefix)
        self.parameters = dict(self._model.named_parameters())

    def __call__(self, hidden: Tensor) -> Any:
        """The model's outputs for what leaves its last encoder layer, (sequences, length, width), without padding."""
        self._given.hidden = hidden.float()
        ones = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        return self._model(input_ids=ones, attention_mask=ones, return_dict=True)  # nobody looks the ids up


class _Given(nn.Module):
    """A base model whose last encoder layer gives what it was given.

    Args:
        pooler: of the base model, None for none.
        closing: the norm behind the layers, None for none; its parameters are not counted.
    """

    hidden: Tensor

    def __init__(self, pooler: nn.Module | None, closing: nn.Module | None) -> None:
        super().__init__()
        self.pooler = pooler
        self._closing = None if closing is None else (copy.deepcopy(closing).float(),)  # in a tuple: not a submodule

    def forward(self, *_: Any, **__: Any) -> Any:
        """What the base model hands out."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling  # late: it takes seconds

        hidden: Any = self.hidden if self._closing is None else self._closing[0](self.hidden)
        pooled = None if self.pooler is None else self.pooler(hidden)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)
