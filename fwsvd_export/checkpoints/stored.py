"""The tensors that a checkpoint stores, in one safetensors file or in several with an index."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.file_names import SHARDS_INDEX, WEIGHTS_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.tensors import StoredTensor, named, read_header


def has_weights(folder: Path) -> bool:
    """Whether a folder has weights that are read."""
    return (folder / WEIGHTS_FILE).is_file() or (folder / SHARDS_INDEX).is_file()


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by name, in one file or in several.

    Raises:
        CheckpointError: a file is damaged or missing, or the index and the files do not name the same tensors: those
            that the index does not name would not be read.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return read_header(folder / WEIGHTS_FILE)
    index = folder / SHARDS_INDEX
    places = read_json(index).get("weight_map")
    shards: dict[str, set[str]] = {}
    for tensor, file in places.items() if isinstance(places, dict) else ():
        shards.setdefault(str(file), set()).add(tensor)
    for name in sorted(shards):
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise CheckpointError(f"{index} names {shown(name)}, which is no safetensors file in the same folder")
    if not shards:
        raise CheckpointError(f"{index} names no files; save the model again")
    stored: dict[str, StoredTensor] = {}
    for name in sorted(shards):
        found = read_header(folder / name)
        if other := shards[name] ^ found.keys():
            raise CheckpointError(
                f"{index} and {name} do not name the same tensors: {named(sorted(other))}; save the model again"
            )
        stored |= found
    return stored
