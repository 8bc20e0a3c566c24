"""A configuration that somebody else may have written: read and checked before a library builds a model from it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import any_family_of
from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.tensors import StoredTensor

MOST_LABELS = 1_000_000  # transformers makes a name for every one
_DTYPES = {"float16", "bfloat16", "float32", "float64"}
_PROBLEMS = {"regression", "single_label_classification", "multi_label_classification"}
_ABSENT = object()
_FLOATS = ("F64", "F32", "F16", "BF16")
_NUMBERS_OF_POSITIONS = "_ids"  # how the tables end that some versions of transformers store beside the weights

Tensors = Mapping[str, StoredTensor]
"""Every stored tensor by name."""


@dataclass(frozen=True)
class _Allowed:
    """What a setting may be: in words, and how it is told."""

    words: str
    fits: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_label_map(value: Any, keys: Callable[[Any], bool], values: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(keys(key) and values(entry) for key, entry in value.items())


def _is_number_text(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, flags=re.ASCII) is not None


def _one_of(*values: str | bool | None) -> _Allowed:
    words = " or ".join("null" if value is None else str(value).lower() for value in values)
    texts = [value for value in values if isinstance(value, str)]
    return _Allowed(words, lambda value: value in texts if isinstance(value, str) else any(value is v for v in values))


_SIZE = _Allowed("a whole number of at least 1", lambda value: _is_whole(value) and value >= 1)
_NAME = _Allowed("a name", lambda value: isinstance(value, str))
_SHARE = _Allowed("a number from 0 to 1", lambda value: _is_within(value, 0, 1))
_TRUTH = _one_of(None, False, True)
_ATTENTION = _one_of(None, "eager", "sdpa")  # transformers would fetch and run the code of any other name
_DTYPE = _Allowed(
    f"null or one of {', '.join(sorted(_DTYPES))}",
    lambda value: value is None or (isinstance(value, str) and value.removeprefix("torch.") in _DTYPES),
)
# What models and our own code read; whatever is not named here stays as it is
_SETTINGS: dict[str, _Allowed] = {
    "num_attention_heads": _SIZE,
    "n_heads": _SIZE,
    "hidden_act": _NAME,
    "activation": _NAME,
    "layer_norm_eps": _SHARE,
    "hidden_dropout_prob": _SHARE,
    "attention_probs_dropout_prob": _SHARE,
    "dropout": _SHARE,
    "attention_dropout": _SHARE,
    "qa_dropout": _SHARE,
    "seq_classif_dropout": _SHARE,
    "sinusoidal_pos_embds": _one_of(None, False, True),
    "classifier_dropout": _Allowed("null or a number from 0 to 1", lambda value: value is None or _SHARE.fits(value)),
    "initializer_range": _Allowed("a number from 0 to 1000", lambda value: _is_within(value, 0, 1000)),
    "pad_token_id": _Allowed("null or a whole number", lambda value: value is None or _is_whole(value)),
    "num_labels": _Allowed(
        f"a whole number of at most {MOST_LABELS}", lambda value: _is_whole(value) and 0 <= value <= MOST_LABELS
    ),
    "id2label": _Allowed(
        "an object of numbers and names",
        lambda value: value is None or _is_label_map(value, _is_number_text, lambda name: isinstance(name, str | int)),
    ),
    "label2id": _Allowed(
        "an object of names and numbers",
        lambda value: (
            value is None
            or _is_label_map(value, lambda _: True, lambda number: _is_whole(number) or _is_number_text(number))
        ),
    ),
    "problem_type": _Allowed(
        f"null or one of {', '.join(sorted(_PROBLEMS))}",
        lambda value: value is None or (isinstance(value, str) and value in _PROBLEMS),
    ),
    "architectures": _Allowed(
        "a list of class names",
        lambda value: value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value)),
    ),
    "auto_map": _Allowed("an object", lambda value: value is None or isinstance(value, dict)),
    "dtype": _DTYPE,
    "torch_dtype": _DTYPE,
    "attn_implementation": _ATTENTION,
    "_attn_implementation": _ATTENTION,
    "_attn_implementation_internal": _ATTENTION,
    "return_dict": _one_of(None, True),
    "torchscript": _one_of(None, False),
    "output_attentions": _TRUTH,
    "output_hidden_states": _TRUTH,
    "tie_word_embeddings": _TRUTH,
    "use_cache": _TRUTH,
    "chunk_size_feed_forward": _Allowed("0", lambda value: _is_whole(value) and value == 0),
    "pruned_heads": _Allowed("empty", lambda value: not value),
    "quantization_config": _one_of(None),
    "per_layer_config": _one_of(None),
}


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
    for name, value in settings.items():
        allowed = _SETTINGS.get(name)
        if allowed is not None and not allowed.fits(value):
            raise _unreadable(source, f"{name} is {shown(value)} in config.json, and {allowed.words} is allowed")
        if _shadows(config_class, name):
            raise _unreadable(source, f"config.json sets {shown(name)}, which is no setting; take it out")
    return family


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
    for name, stored in found.items():
        value = settings.get(name, getattr(defaults, name))
        if not _SIZE.fits(value):
            raise _unreadable(source, f"{name} is {shown(value)} in config.json, and {_SIZE.words} is allowed")
        if stored is None:
            raise _unreadable(
                source, f"its weights have nothing of which {name} is a size; is it another architecture?"
            )
        if value != stored:
            raise _unreadable(source, f"{name} is {shown(value)} by config.json and {stored} by the weights")
    labels = max(settings.get("num_labels") or 0, len(settings.get("id2label") or {}))
    if labels > max(tensor.shape[0] for tensor in tensors.values() if tensor.shape):
        raise _unreadable(source, f"config.json has {labels} labels, and no layer of the weights so many outputs")


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
