"""Multiplying factors out: a compressed model becomes a plain one of its original architecture."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from fwsvd_export.architectures.assembly import assemble, carried_settings
from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES, encoder_of
from fwsvd_export.architectures.unwrap import unwrapped
from fwsvd_export.errors import UnsupportedModelError
from fwsvd_export.records import FeedForward
from fwsvd_export.runtime.modes import usual_modes


def densify(model: Any) -> Any:
    """The plain model whose weights are ``up @ down``; products are taken in float64, the dtype stays.

    Args:
        model: compressed, also in ``DataParallel`` or ``torch.compile``; it is left as it was.

    Raises:
        UnsupportedModelError: the model is not compressed, or not a model of transformers.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> type(densify(fe.compress(BertModel(config), method="svd", rank=4))).__name__
        'BertModel'
    """
    model = unwrapped(model)
    with usual_modes(next(model.parameters()).device):
        return _densified(model)


def _densified(model: Any) -> Any:
    """As ``densify``, of a model without wrappers."""
    if str(model.config.model_type) not in LOW_RANK_FAMILIES:
        raise UnsupportedModelError(
            f"{type(model).__name__} is not compressed, so nothing can be multiplied out; give a compressed checkpoint"
        )
    state = model.state_dict()
    encoder = encoder_of(model)
    family, prefix = encoder.family, encoder.prefix
    table = f"{prefix}{family.word_embeddings}"
    if f"{table}.table.weight" in state:
        words, projection = state.pop(f"{table}.table.weight"), state.pop(f"{table}.projection.weight")
        state[f"{table}.weight"] = (words.double() @ projection.double().T).to(words.dtype)
        for name, module in model.named_modules():
            if type(module).__name__ == "TiedDecoder":  # of our code, or of the checkpoint's own copy of it
                state[f"{name}.weight"] = state[f"{table}.weight"]
    for name in model.config.low_rank["ranks"]:
        if name == family.word_embeddings:
            continue
        up = state.pop(f"{prefix}{name}.up.weight")
        down = state.pop(f"{prefix}{name}.down.weight")
        state[f"{prefix}{name}.weight"] = (up.double() @ down.double()).to(up.dtype)
        bias = state.pop(f"{prefix}{name}.up.bias", None)
        if bias is not None:
            state[f"{prefix}{name}.bias"] = bias
    for name, width in model.config.low_rank.get("widths", {}).items():
        part = next(part for part in encoder.feed_forwards if part.intermediate.name == name)
        _fill_up(state, prefix, part, family.neurons_of(model.config) - width)
    dense_class = family.dense_class(type(model).__name__)
    return assemble(dense_class, dense_class.config_class(**carried_settings(model.config)), state, like=model)


def _fill_up(state: dict[str, Tensor], prefix: str, part: FeedForward, gone: int) -> None:
    """Puts neurons in the place of those that are gone: nothing goes into them, and nothing that they give is read."""
    first, bias, second = (
        f"{prefix}{name}"
        for name in (f"{part.intermediate.name}.weight", f"{part.intermediate.name}.bias", f"{part.output.name}.weight")
    )
    state[first] = functional.pad(state[first], (0, 0, 0, gone))
    state[second] = functional.pad(state[second], (0, gone))
    if bias in state:
        state[bias] = functional.pad(state[bias], (0, gone))
