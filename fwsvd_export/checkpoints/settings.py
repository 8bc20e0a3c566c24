"""A configuration that somebody else may have written: read and checked before a library builds a model from it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import any_family_of
from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.schema import Mismatch, convert
from fwsvd_export.storage.tensors import StoredTensor

MOST_NARROWED = 16  # times as many neurons a dense model may have had; a narrowed one keeps an eighth at least
MOST_LABELS = 1_000_000  # transformers makes a name for every one
_ABSENT = object()
_FLOATS = ("F64", "F32", "F16", "BF16")
_NUMBERS_OF_POSITIONS = "_ids"  # how the tables end that some versions of transformers store beside the weights
_NUMBER_OF_LABEL = r"\A[0-9]{1,9}\Z"

Tensors = Mapping[str, StoredTensor]
"""Every stored tensor by name."""

_DtypeName = Annotated[str, Meta(pattern=r"\A(torch\.)?(bfloat16|float16|float32|float64)\Z")]
_Dtype = Annotated[_DtypeName | None, Meta(description="null or one of bfloat16, float16, float32, float64")]
_Attention = Literal["eager", "sdpa"]  # transformers would fetch and run the code of any other name
_NumberText = Annotated[str, Meta(pattern=_NUMBER_OF_LABEL)]
_Zero = Annotated[int, Meta(ge=0, le=0, description="0")]
_Empty = Annotated[dict[str, Any], Meta(max_length=0)] | Annotated[list[Any], Meta(max_length=0)] | None
# Value that is refused, as it changes what a model returns, and what is allowed
_NEVER = {"return_dict": (False, "null or true"), "torchscript": (True, "null or false")}


class _Settings(TypedDict, total=False):
    """What all families' models and our own code read; whatever is not named here stays as it is."""

    initializer_range: Annotated[float, Meta(ge=0, le=1000, description="a number from 0 to 1000")]
    pad_token_id: int | None
    num_labels: Annotated[int, Meta(ge=0, le=MOST_LABELS, description=f"a whole number of at most {MOST_LABELS}")]
    id2label: Annotated[dict[_NumberText, str | int] | None, Meta(description="an object of numbers and names")]
    label2id: Annotated[dict[str, int | _NumberText] | None, Meta(description="an object of names and numbers")]
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"] | None
    architectures: Annotated[tuple[str, ...] | None, Meta(description="a list of class names")]
    auto_map: dict[str, Any] | None
    dtype: _Dtype
    torch_dtype: _Dtype
    attn_implementation: _Attention | None
    _attn_implementation: _Attention | None
    _attn_implementation_internal: _Attention | None
    return_dict: Annotated[bool | None, Meta(description=_NEVER["return_dict"][1])]
    torchscript: Annotated[bool | None, Meta(description=_NEVER["torchscript"][1])]
    output_attentions: bool | None
    output_hidden_states: bool | None
    tie_word_embeddings: bool | None
    use_cache: bool | None
    chunk_size_feed_forward: _Zero
    pruned_heads: Annotated[_Empty, Meta(description="empty")]
    quantization_config: None
    per_layer_config: None


def read_settings(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``config.json``.

    Raises:
        CheckpointError: there is none, or it is no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder} holds no model: it has no config.json; give the folder that from_pretrained reads"
        )
    return read_json(path)


def check_settings(settings: Mapping[str, Any], source: str) -> Family:
    """Refuses values that models would fail on late, or that would make transformers run or read something else.

    Args:
        settings: of ``config.json``.
        source: what the user calls the model.

    Returns:
        The family of the architecture, dense or compressed.

    Raises:
        UnsupportedModelError: another architecture.
        CheckpointError: the sentence names the setting.
    """
    family = any_family_of(SimpleNamespace(**{"model_type": "missing", **settings}))
    config_class = family.dense_config_class()
    _check_values(settings, family, source)
    for name in settings:
        if _shadows(config_class, name):
            raise _unreadable(source, f"config.json sets {shown(name)}, which is no setting; take it out")
    return family


def _check_values(settings: Mapping[str, Any], family: Family, source: str) -> None:
    try:
        for kind in (_Settings, family.settings):
            convert(kind, dict(settings))
    except Mismatch as found:
        raise _unreadable(
            source, f"{found.field} is {shown(found.value)} in config.json, and {found.allowed} is allowed"
        ) from None
    for name, (value, allowed) in _NEVER.items():
        if settings.get(name) is value:
            raise _unreadable(source, f"{name} is {value} in config.json, and {allowed} is allowed")


def check_weights(settings: Mapping[str, Any], family: Family, tensors: Tensors, source: str) -> None:
    """Refuses sizes that are not those of the stored tensors: what is built is never larger than what is there.

    Args:
        settings: of ``config.json``; a size that is missing there is transformers' default.
        family: of the model.
        tensors: all that are stored.
        source: what the user calls the model.

    Raises:
        CheckpointError: the sentence names the setting and both sizes, or the weights that are no floats.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS and not name.endswith(_NUMBERS_OF_POSITIONS):
            raise _unreadable(source, f"{shown(name)} is stored as {tensor.dtype}, and {', '.join(_FLOATS)} are read")
    defaults = family.dense_config_class()()
    found = {size.setting: _size(tensors, size.tensors, size.dimension) for size in family.sizes}
    layer = re.compile(rf"(?:.*\.)?{re.escape(family.layer).replace(re.escape('{}'), '([0-9]+)')}\..*", re.DOTALL)
    found[family.layers_setting] = len({match[1] for match in map(layer.fullmatch, tensors) if match})
    widths = _widths(settings, family)
    for name, stored in found.items():
        value = settings.get(name, getattr(defaults, name))
        if type(value) is not int or value < 1:
            raise _unreadable(
                source, f"{name} is {shown(value)} in config.json, and a whole number of at least 1 is allowed"
            )
        if stored is None:
            raise _unreadable(
                source, f"its weights have nothing of which {name} is a size; is it another architecture?"
            )
        width = widths.get(name)
        if width is None and value != stored:
            raise _unreadable(source, f"{name} is {shown(value)} by config.json and {stored} by the weights")
        if width is not None and (width != stored or not stored <= value <= MOST_NARROWED * stored):
            raise _unreadable(
                source,
                f"{shown(width)} of {shown(value)} neurons ({name}) are left by config.json, and the weights have "
                f"{stored}; {stored} of at most {MOST_NARROWED * stored} are allowed",
            )
    labels = max(settings.get("num_labels") or 0, len(settings.get("id2label") or {}))
    if labels > max(tensor.shape[0] for tensor in tensors.values() if tensor.shape):
        raise _unreadable(source, f"config.json has {labels} labels, and no layer of the weights so many outputs")


def _widths(settings: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Setting -> what a compressed model's configuration says is left of it, where it says so."""
    low_rank = settings.get("low_rank")
    widths = low_rank.get("widths") if isinstance(low_rank, dict) else None
    given = widths if isinstance(widths, dict) and settings.get("model_type") == family.low_rank_type else {}
    return {size.setting: given[size.width_of] for size in family.sizes if size.width_of in given}


def _size(tensors: Tensors, names: tuple[str, ...], dimension: int) -> int | None:
    """The size of a dimension of the tensor that has one of these names, behind whatever prefix."""
    for stored, tensor in tensors.items():
        if len(tensor.shape) > dimension and any(stored == name or stored.endswith(f".{name}") for name in names):
            return tensor.shape[dimension]
    return None


def _shadows(config_class: Any, name: str) -> bool:
    """Whether a setting would take the place of a method or another part of the configuration class.

    Transformers makes every key an attribute; in version 5 its settings are fields of a dataclass, too.
    """
    if name.startswith("__"):
        return True
    fields = (
        {field.name for field in dataclasses.fields(config_class)} if dataclasses.is_dataclass(config_class) else ()
    )
    if name == "model_type" or name in fields:
        return False
    part = inspect.getattr_static(config_class, name, _ABSENT)
    return part.fset is None if isinstance(part, property) else part is not _ABSENT


def _unreadable(source: str, reason: str) -> CheckpointError:
    return CheckpointError(f"the model in {source} cannot be read: {reason}")
