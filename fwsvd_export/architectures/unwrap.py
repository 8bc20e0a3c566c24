"""The model that a caller hands over: taken out of its wrappers, and refused where it holds nothing to work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import UnsupportedModelError, shown

if TYPE_CHECKING:
    from fwsvd_export.architectures.encoder import Encoder


def unwrapped(model: Any) -> Any:
    """The transformers model inside what parallel training and compilation put around it.

    Args:
        model: of transformers, or one in ``DataParallel``, ``DistributedDataParallel`` or ``torch.compile``.

    Raises:
        UnsupportedModelError: it is not a model of transformers, a part of it is wrapped by itself, or it has
            parameters without values, of a type that is not a floating-point one, or on several devices.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> model = BertModel(config)
        >>> unwrapped(torch.nn.DataParallel(model)) is model
        True
    """
    from torch.nn.parallel import DataParallel, DistributedDataParallel  # late: names alone need no torch
    from transformers import PreTrainedModel

    while True:
        if isinstance(model, (DataParallel, DistributedDataParallel)):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile's
            model = model._orig_mod
        else:
            break
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(
            f"the model is {_described(model)}: a model of transformers is needed; load one with from_pretrained or "
            "fwsvd_export.load"
        )
    for name, part in model.named_modules():
        if hasattr(part, "_orig_mod"):
            raise UnsupportedModelError(
                f"{name} was compiled by itself, which renames its weights; hand the model over before torch.compile, "
                "or compile the whole of it"
            )
    _check_parameters(model)
    return model


def _described(model: Any) -> str:
    """What came in place of a model: the text itself, since it may be a path, else the type."""
    return f"the text {shown(model)}" if isinstance(model, str) else f"of type {type(model).__name__}"


def _check_parameters(model: Any) -> None:
    devices: dict[str, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise UnsupportedModelError(
                f"{name} is on the meta device and has no values; load the model whole with from_pretrained, without "
                "init_empty_weights and without offloading"
            )
        if not parameter.is_floating_point():
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UnsupportedModelError(
                f"{name} is stored as {kind}: weights in float32, float16 or bfloat16 are needed; load the model "
                "without quantization"
            )
        devices.setdefault(str(parameter.device), name)
    if len(devices) > 1:
        places = " and ".join(f"{name} on {device}" for device, name in devices.items())
        raise UnsupportedModelError(
            f"the model is on several devices, {places}; move all of it to one with model.to('cpu')"
        )


def check_own_weights(encoder: Encoder) -> None:
    """Refuses a dense model of which two layers are one, or that no gradient can go through.

    Args:
        encoder: of the model.

    Raises:
        UnsupportedModelError: two compressible layers have the same weights in memory, or a parameter was made under
            ``torch.inference_mode()``.
    """
    owners: dict[int, str] = {}
    for layer in encoder.layers:
        weight = getattr(encoder.module(layer.name), "weight", None)
        owner = layer.name if weight is None else owners.setdefault(weight.data_ptr(), layer.name)
        if owner != layer.name:
            raise UnsupportedModelError(
                f"{layer.name} has the same weights in memory as {owner}, and every layer is compressed by itself; "
                "give each its own with copy.deepcopy"
            )
    for name, parameter in encoder.model.named_parameters():
        if parameter.is_inference():
            raise UnsupportedModelError(
                f"{name} was made under torch.inference_mode(), where no gradient can be taken of it; load the model "
                "outside of that block"
            )
