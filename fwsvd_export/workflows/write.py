"""A compressed model becomes its folder: weights, code, tokenizer, record and card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.checkpoints.folder import write_model
from fwsvd_export.hub.card.write import write_card
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import COMPRESSION_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output


def write_compressed(
    model: Any, out: Path, compression: dict[str, Any], tokenizer_files: Sequence[Path], overwrite: bool = False
) -> dict[str, Any]:
    """Config, code, weights, tokenizer, card and ``compression.json``, whole or not at all.

    Returns:
        The content of ``compression.json``: what was given, with bytes and SHA-256 of the weights under ``files``.

    Raises:
        OutputError: the folder exists and is not empty, or the disk is full.
    """
    with atomic_output(out, overwrite) as folder:
        write_model(model, folder, tokenizer_files)
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
            for file in sorted(folder.glob("*.safetensors"))
        }
        record = {**compression, "files": files}
        write_json(folder / COMPRESSION_FILE, record)
        write_card(folder, record)
    return record
