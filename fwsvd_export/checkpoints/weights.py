"""The weights of a checkpoint: their size and type on disk, and a digest of their values."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.digest import combined_sha256, file_sha256
from fwsvd_export.storage.file_names import SHARDS_INDEX, WEIGHTS_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.schema import Count, Line
from fwsvd_export.storage.tensors import read_header

_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # safetensors' names


@dataclass(frozen=True)
class StoredWeights:
    """What the weights take on disk: bytes of all files, and the type that most of their numbers are stored in."""

    bytes: Count
    dtype: Line


def count_of(folder: Path) -> int:
    """Numbers in the weights of a folder that are no integers, as parameters are; raises as ``read_header``."""
    tensors = (tensor for file in weights_files(folder) for tensor in read_header(file).values())
    return sum(math.prod(tensor.shape) for tensor in tensors if tensor.dtype in _DTYPES)


def weights_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold a checkpoint's weights: the one, or those that the index names; none without either.

    Raises:
        CheckpointError: the index is damaged, or names what is no safetensors file in the same folder.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return (folder / WEIGHTS_FILE,)
    index = folder / SHARDS_INDEX
    if not index.is_file():
        return ()
    places = read_json(index).get("weight_map")
    names = sorted(set(map(str, places.values()))) if isinstance(places, dict) else []
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise CheckpointError(f"{index} names {shown(name)}, which is no safetensors file in the same folder")
    if not names:
        raise CheckpointError(f"{index} names no files; save the model again")
    return tuple(folder / name for name in names)


def required_weights_files(folder: Path) -> tuple[Path, ...]:
    """As ``weights_files``; a folder without weights raises a CheckpointError too."""
    files = weights_files(folder)
    if not files:
        raise CheckpointError(f"{folder} has no {WEIGHTS_FILE} and no {SHARDS_INDEX}; save the model into it again")
    return files


def weights_digest(files: Sequence[Path]) -> str:
    """SHA-256 of a weights file; of several, of the list that ``sha256sum`` prints of them."""
    return combined_sha256({file.name: file_sha256(file) for file in files})


def stored_weights(folder: Path) -> StoredWeights:
    """Size and type of the weights in a folder; raises as ``read_header``."""
    files, numbers = weights_files(folder), Counter[str]()
    for file in files:
        for tensor in read_header(file).values():
            numbers[tensor.dtype] += math.prod(tensor.shape)
    kind = numbers.most_common(1)[0][0] if numbers else "F32"
    return StoredWeights(sum(file.stat().st_size for file in files), _DTYPES.get(kind, kind))


def weights_sha256(model: Any) -> str:
    """SHA-256 over names, shapes and float32 values of all parameters: the same for any file format or stored dtype."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()
