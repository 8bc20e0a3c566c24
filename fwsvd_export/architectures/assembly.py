"""Building a model of another class around weights that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Settings that belong to the class a configuration was made for, or to the place it was loaded from.
_NOT_CARRIED = ("model_type", "architectures", "auto_map", "low_rank", "_name_or_path", "transformers_version")


def carried_settings(config: Any) -> dict[str, Any]:
    """What a configuration says, for a configuration of another class."""
    return {name: value for name, value in config.to_dict().items() if name not in _NOT_CARRIED}


def tied_decoder(model: Any) -> str | None:
    """Name of a dense model's output layer whose weight is the word embeddings' own; None where it has none."""
    output = model.get_output_embeddings()
    if output is None or not getattr(model.config, "tie_word_embeddings", True):
        return None
    names: list[str] = [name for name, module in model.named_modules() if module is output]
    return names[0]


def assemble(
    model_class: Any, config: Any, state: Mapping[str, Tensor], like: Any, attention: str | None = None
) -> Any:
    """A model of ``model_class`` that holds copies of the tensors of ``state``.

    The skeleton takes no memory and is not initialised, so the global random state stays as it is.

    Args:
        model_class: a transformers model class.
        config: its configuration.
        state: every parameter by name.
        like: the model it is made from: gives dtype, device, buffers, attention implementation and training mode.
        attention: another implementation than its own; older transformers choose it when a model is made, not later.
    """
    first = next(like.parameters())
    with torch.device("meta"):
        model = model_class._from_config(config, attn_implementation=attention or like.config._attn_implementation)
    copies = {name: tensor.detach().to(first.device, first.dtype, copy=True) for name, tensor in state.items()}
    model.load_state_dict(copies, assign=True)
    buffers = dict(like.named_buffers())
    for name, _ in list(model.named_buffers()):  # those outside the state: position numbers and the like
        parent, _, attribute = name.rpartition(".")
        model.get_submodule(parent)._buffers[attribute] = buffers[name].clone()
    model.tie_weights()
    return model.train(like.training)
