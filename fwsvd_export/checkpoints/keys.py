"""What transformers says of the keys of weights that it loaded: what lacks, what does not fit, what is left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.tensor_names import is_of_encoder
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.tensors import StoredTensor, named


def check_keys(
    model: Any, info: Mapping[str, Any], family: Family, stored: Mapping[str, StoredTensor], source: str
) -> str:
    """Refuses a model whose parameters are not those of its weights.

    Args:
        model: as it was loaded; parameters without a stored tensor have some values.
        info: ``output_loading_info`` of ``from_pretrained``, with sizes that do not match let through.
        family: of the model.
        stored: every tensor of the weights.
        source: the model, as the user calls it.

    Returns:
        A sentence on the tensors that the model's class does not take; empty where it takes all.

    Raises:
        CheckpointError: parameters that are not stored or have another shape, or tensors of the embeddings or the
            encoder layers that the class would compute without.
    """
    name = type(model).__name__
    if missing := sorted(info["missing_keys"]):
        raise CheckpointError(
            f"the weights in {source} lack {named(missing)}, which {name} has; does config.json name the right class?"
        )
    # Names in older versions of transformers, names with both shapes in newer ones
    mismatched = sorted({key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]})
    if mismatched:
        first = mismatched[0]
        raise CheckpointError(
            f"the model in {source} cannot be read: {first} is {_shape_of(first, stored)} in the weights, and "
            f"{tuple(model.state_dict()[first].shape)} by config.json{_and_more(mismatched)}; correct config.json, or "
            "save the model again"
        )
    left = sorted(info["unexpected_keys"])
    if inside := [key for key in left if is_of_encoder(key, family)]:
        raise CheckpointError(
            f"the weights in {source} hold {named(inside)} in the encoder, which {name} does not have and would "
            "compute without; save the model with transformers' own class, or take them out of the file"
        )
    if not left:
        return ""
    return f"{name} leaves out {len(left):,} of the {len(stored):,} tensors in the weights: {named(left)}"


def _shape_of(parameter: str, stored: Mapping[str, StoredTensor]) -> str:
    """The stored shape of a parameter, behind whatever prefix."""
    for name, tensor in stored.items():
        if name == parameter or name.endswith(f".{parameter}") or parameter.endswith(f".{name}"):
            return str(tensor.shape)
    return "of another shape"


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
