"""Writing a checkpoint's folder, and reading the record of how it was made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError
from fwsvd_export.hub.card import write_card
from fwsvd_export.hub.record import check_record
from fwsvd_export.storage import atomic_output, file_sha256, read_json, write_json

COMPRESSION_FILE = "compression.json"


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
        _write_model(model, folder, tokenizer_files)
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
            for file in sorted(folder.glob("*.safetensors"))
        }
        record = {**compression, "files": files}
        write_json(folder / COMPRESSION_FILE, record)
        write_card(folder, record)
    return record


def write_dense(model: Any, out: Path, tokenizer_files: Sequence[Path], overwrite: bool = False) -> None:
    """Config, weights and tokenizer of a plain model; raises as ``write_compressed``."""
    with atomic_output(out, overwrite) as folder:
        _write_model(model, folder, tokenizer_files)


def read_compression(folder: Path) -> dict[str, Any]:
    """The content of ``compression.json``.

    Raises:
        CheckpointError: it is missing, no JSON, or does not hold what such a record must.
    """
    path = folder / COMPRESSION_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {COMPRESSION_FILE}, so it does not say how it was made")
    record = read_json(path)
    check_record(record, path)
    return record


def _write_model(model: Any, folder: Path, tokenizer_files: Sequence[Path]) -> None:
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    for file in tokenizer_files:
        shutil.copyfile(file, folder / file.name)
