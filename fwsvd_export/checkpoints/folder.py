"""Writing a checkpoint's folder, and reading the record of how it was made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.checkpoints.record import check_record
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.file_names import COMPRESSION_FILE
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.output import atomic_output


def write_dense(model: Any, out: Path, tokenizer_files: Sequence[Path], overwrite: bool = False) -> None:
    """Config, weights and tokenizer of a plain model, atomically.

    Raises:
        OutputError: the folder exists and is not empty, or the disk is full.
    """
    with atomic_output(out, overwrite) as folder:
        write_model(model, folder, tokenizer_files)


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


def write_model(model: Any, folder: Path, tokenizer_files: Sequence[Path]) -> None:
    """Config, weights, where it has any its own code, and tokenizer, into a folder that is made where it is missing."""
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    for file in tokenizer_files:
        shutil.copyfile(file, folder / file.name)
