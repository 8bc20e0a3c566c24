"""The weights of a checkpoint: their size and type on disk, and a digest of their values."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.storage.schema import Count, Line
from fwsvd_export.storage.tensors import read_header

_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # safetensors' names


@dataclass(frozen=True)
class StoredWeights:
    """What the weights take on disk: bytes of all files, and the type that most of their numbers are stored in."""

    bytes: Count
    dtype: Line


def stored_weights(folder: Path) -> StoredWeights:
    """Size and type of the weights in a folder; raises as ``read_header``."""
    files, numbers = sorted(folder.glob("*.safetensors")), Counter[str]()
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
