"""The tensors that a checkpoint stores, in one safetensors file or in several with an index."""

from __future__ import annotations

import re
from pathlib import Path

from fwsvd_export.checkpoints.weights import weights_files
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.file_names import SHARDS_INDEX, WEIGHTS_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.tensors import StoredTensor, named, read_header

_EARLY_NORM = re.compile(r"LayerNorm\.(gamma|beta)$")


def has_weights(folder: Path) -> bool:
    """Whether a folder has weights that are read."""
    return (folder / WEIGHTS_FILE).is_file() or (folder / SHARDS_INDEX).is_file()


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by name, in one file or in several.

    Norms are named as today, also where the file has the names of TensorFlow's checkpoints, as early BERTs do and what
    transformers 5.0 saves.

    Raises:
        CheckpointError: a file is damaged or missing, or the index and the files do not name the same tensors: those
            that the index does not name would not be read.
    """
    files = weights_files(folder)
    if files == (folder / WEIGHTS_FILE,):
        return _named_as_today(read_header(folder / WEIGHTS_FILE))
    index, stored = folder / SHARDS_INDEX, dict[str, StoredTensor]()
    places = read_json(index)["weight_map"]  # ``weights_files`` has checked it
    for file in files:
        found = read_header(file)
        if other := found.keys() ^ {tensor for tensor, name in places.items() if str(name) == file.name}:
            raise CheckpointError(
                f"{index} and {file.name} do not name the same tensors: {named(sorted(other))}; save the model again"
            )
        stored |= found
    return _named_as_today(stored)


def _named_as_today(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Norms with a weight and a bias, as transformers renames them when it loads a model."""
    endings = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    return {_EARLY_NORM.sub(lambda found: endings[found[0]], name): tensor for name, tensor in tensors.items()}
