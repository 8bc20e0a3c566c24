"""Folders without weights that are read: what lies there instead, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES
from fwsvd_export.checkpoints.adapters import refuse_adapter_folder
from fwsvd_export.checkpoints.fetch import files_of
from fwsvd_export.checkpoints.formats import Names, refuse_format, unread_format
from fwsvd_export.checkpoints.stored import has_weights
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.file_names import WEIGHTS_FILE


def check_format(folder: Path, source: str) -> None:
    """Refuses what holds no whole model, or one in a format that no lines of Python convert: it has no settings."""
    refuse_adapter_folder(folder, source, f"{_base_name(folder, source)}-merged")
    unread = None if has_weights(folder) else unread_format(files_of(source, folder))
    if unread is not None and not unread[1].lines:
        raise refuse_format(*unread, source)


def without_weights(settings: dict[str, Any], family: Family, folder: Path, source: str) -> CheckpointError:
    """The error for a model whose weights are missing or in another format."""
    unread = unread_format(files_of(source, folder))
    if unread is None:
        return CheckpointError(f"{source} has no {WEIGHTS_FILE}; save the model as safetensors first")
    names = None
    if settings["model_type"] not in LOW_RANK_FAMILIES and settings.get("architectures"):
        names = Names(
            source=source,
            model=family.dense_name(family.head(settings["architectures"][0])),
            config=family.dense_config_class().__name__,
            out=source if Path(source).is_dir() else f"{_base_name(folder, source)}-safetensors",
        )
    return refuse_format(*unread, source, names)


def _base_name(folder: Path, source: str) -> str:
    """A model's name without the folders or the owner before it."""
    return folder.resolve().name if Path(source).is_dir() else source.rpartition("/")[2]
