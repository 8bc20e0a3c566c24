"""What a sentence-transformers folder computes beside its transformer: it is not part of what we load and write."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, CheckpointWarning, quoted, shown
from fwsvd_export.storage.file_names import CONFIG_FILE
from fwsvd_export.storage.json_files import read_json, read_json_list

MODULES_FILE = "modules.json"
_MODE = "pooling_mode_"  # settings of older versions, one per kind of pooling


def warn_of_modules(folder: Path, source: str) -> tuple[str, ...]:
    """Warns of the modules that a folder lists behind its transformer, as what is written does not have them.

    Args:
        folder: of the model.
        source: the model, as the user calls it.

    Returns:
        The sentence, without the model's name; nothing for a folder without such modules.

    Raises:
        CheckpointError: its ``modules.json`` is not a list of modules.
    """
    if not (folder / MODULES_FILE).is_file():
        return ()
    modules = [words for module in read_json_list(folder / MODULES_FILE) if (words := _described(module, folder))]
    if not modules:
        return ()
    sentence = (
        f"only the transformer of this sentence-transformers model is carried over; what {MODULES_FILE} lists behind "
        f"it is for you to apply to the outputs: {quoted(', '.join(modules))}"
    )
    warnings.warn(f"{source}: {sentence}.", CheckpointWarning, stacklevel=2)
    return (sentence,)


def _described(module: Any, folder: Path) -> str:
    """A module in a few words, empty for a transformer: its class, how it pools, and whether it has weights."""
    kind, place = (module.get(name) if isinstance(module, dict) else None for name in ("type", "path"))
    if not isinstance(kind, str) or not isinstance(place, str):
        raise CheckpointError(
            f"{folder / MODULES_FILE} lists {shown(module)}, and a module has a type and a path; correct it, or take "
            "the file out to have only the transformer"
        )
    name = kind.rpartition(".")[2]
    if name.endswith("Transformer"):
        return ""
    # What lies elsewhere is not looked at
    inner = folder / place if Path(place).name == place and place not in ("", "..") else None
    details = [] if inner is None else [*_pooling_modes(inner / CONFIG_FILE), *_weights_in(inner)]
    return f"{name} ({', '.join(details)})" if details else name


def _pooling_modes(file: Path) -> list[str]:
    settings = read_json(file) if file.is_file() else {}
    modes = settings.get("pooling_mode", [])
    older = [name.removeprefix(_MODE) for name, value in settings.items() if name.startswith(_MODE) and value is True]
    return [str(mode) for mode in (modes if isinstance(modes, list) else [modes])] + older


def _weights_in(inner: Path) -> list[str]:
    has_weights = any(file.suffix in (".safetensors", ".bin") for file in inner.glob("*"))
    return ["with weights"] if has_weights else []
