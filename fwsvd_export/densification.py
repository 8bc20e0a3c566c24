"""Multiplying factors out: a compressed model becomes a plain one of its original architecture."""

from __future__ import annotations

from typing import Any

import torch

from fwsvd_export.errors import UnsupportedModelError
from fwsvd_export.families import LOW_RANK_FAMILIES, base_of


def densify(model: Any) -> Any:
    """The plain model whose weights are ``up @ down``; products are taken in float32 or wider.

    Raises:
        UnsupportedModelError: the model is not compressed.
    """
    family = LOW_RANK_FAMILIES.get(str(model.config.model_type))
    if family is None:
        raise UnsupportedModelError(
            f"{type(model).__name__} is not compressed, so nothing can be multiplied out; give a compressed checkpoint"
        )
    state = model.state_dict()
    prefix = "" if base_of(model) is model else f"{model.base_model_prefix}."
    for name in model.config.low_rank["ranks"]:
        up = state.pop(f"{prefix}{name}.up.weight")
        down = state.pop(f"{prefix}{name}.down.weight")
        state[f"{prefix}{name}.weight"] = (up.double() @ down.double()).to(up.dtype)
        bias = state.pop(f"{prefix}{name}.up.bias", None)
        if bias is not None:
            state[f"{prefix}{name}.bias"] = bias
    settings = model.config.to_dict()
    for left_out in ("model_type", "low_rank", "auto_map", "architectures", "_name_or_path", "transformers_version"):
        settings.pop(left_out, None)
    dense_class = family.dense_class(type(model).__name__)
    with torch.random.fork_rng(devices=[]):
        dense = dense_class._from_config(
            dense_class.config_class(**settings), attn_implementation=model.config._attn_implementation
        )
    first = next(model.parameters())
    dense.to(dtype=first.dtype, device=first.device)
    dense.load_state_dict(state)
    return dense.train(model.training)
