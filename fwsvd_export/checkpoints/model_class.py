"""Which class a checkpoint is loaded with: transformers', ours, or one that came with it and is trusted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES
from fwsvd_export.architectures.tensor_names import fitting_heads
from fwsvd_export.errors import CheckpointError, CheckpointWarning, UnsupportedModelError, message_of, shown
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import MODULES_FILE
from fwsvd_export.storage.tensors import StoredTensor

_OWN_REFERENCE = re.compile(r"\w+\.\w+", re.ASCII)  # a file in the folder and a class in it


def model_class_of(
    settings: Mapping[str, Any],
    family: Family,
    tensors: Mapping[str, StoredTensor],
    folder: Path,
    source: str,
    trust_remote_code: bool,
) -> Any:
    """The class that loads a checkpoint.

    Args:
        settings: of ``config.json``.
        family: of the model.
        tensors: all that are stored.
        folder: of the model.
        source: the model, as the user calls it.
        trust_remote_code: allow code that came with a compressed checkpoint to run.

    Raises:
        UnsupportedModelError: a class that is not supported, or none is named and the tensors fit none or several.
        CheckpointError: code that is not this installation's, and is not trusted or cannot be imported.
    """
    name = _class_name(settings, family, tensors, folder, source)
    if settings["model_type"] not in LOW_RANK_FAMILIES:
        return family.dense_class(name)
    if is_own_code(folder, family):
        return family.low_rank_class(name)
    if trust_remote_code:
        return _remote_class(settings, name, folder)
    raise CheckpointError(
        f"the code files in {source} are not those of this installation, so they are not run; "
        "read them and give --trust-remote-code if you trust them"
    )


def is_own_code(folder: Path, family: Family) -> bool:
    """Whether every code file that a folder has is, byte for byte, this installation's; a missing one cannot run."""
    return all(
        file_sha256(folder / name) == file_sha256(family.shipped(name))
        for name in family.code_files
        if (folder / name).is_file()
    )


def _class_name(
    settings: Mapping[str, Any], family: Family, tensors: Mapping[str, StoredTensor], folder: Path, source: str
) -> str:
    """The class that ``config.json`` names, or the only one that the tensors can be of, which is warned about.

    Embedding models often name the class that they were pretrained as, and have nothing of its head:
    sentence-transformers reads them as bare encoders.
    """
    name_of = family.low_rank_name if settings["model_type"] in LOW_RANK_FAMILIES else family.dense_name
    fitting = list(map(name_of, fitting_heads(family, {name: tensor.shape for name, tensor in tensors.items()})))
    if settings.get("architectures"):
        named, bare = str(settings["architectures"][0]), name_of(family.heads[0])
        if named in fitting or bare not in fitting or not (folder / MODULES_FILE).is_file():
            return named
        warnings.warn(
            f"{source}: config.json names {named}, of whose head the weights have nothing, and the model is read as "
            f"{bare}, as sentence-transformers does.",
            CheckpointWarning,
            stacklevel=4,
        )
        return bare
    if len(fitting) == 1:
        warnings.warn(
            f"{source}: config.json names no class, and the model is read as {fitting[0]}, whose tensors it has.",
            CheckpointWarning,
            stacklevel=4,
        )
        return fitting[0]
    found = f"its tensors can be those of {' or '.join(fitting)}" if fitting else "no supported class has its tensors"
    example = (fitting or list(map(name_of, family.heads)))[0]
    raise UnsupportedModelError(
        f"config.json of {source} names no class, and {found}; name the right one in it, such as "
        f'"architectures": ["{example}"]'
    )


def _remote_class(settings: Mapping[str, Any], architecture: str, folder: Path) -> Any:
    """The class of this name that a compressed checkpoint's own code defines."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    for reference in dict(settings.get("auto_map") or {}).values():
        if str(reference).endswith(f".{architecture}"):
            if not _OWN_REFERENCE.fullmatch(reference):
                raise CheckpointError(
                    f"the auto_map in {folder}/config.json names {shown(reference)}, which is outside the folder; only "
                    "code that lies in the folder is run"
                )
            try:
                return get_class_from_dynamic_module(reference, str(folder))
            except Exception as error:  # whatever the code does while it is imported
                raise CheckpointError(f"the code in {folder} cannot be imported: {message_of(error)}") from error
    raise UnsupportedModelError(f"the auto_map in {folder}/config.json has no class {shown(architecture)[1:-1]}")
