"""``densify``: factors multiplied out into a plain checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fwsvd_export.checkpoints.folder import record_of_weights, write_dense
from fwsvd_export.compression.densify import densify
from fwsvd_export.storage.file_names import COMPRESSION_FILE
from fwsvd_export.workflows.source import Source, check_folder, checkpoint_of
from fwsvd_export.workflows.write import write_compressed


def run_densify(source: Source, out: Path, *, dtype: str = "auto", overwrite: bool = False) -> Any:
    """Multiplies the factors of a compressed checkpoint out into a plain one; returns the plain model.

    The output says in a ``compression.json`` and a card how it was made, as far as the checkpoint says it.
    """
    check_folder(source, out, overwrite)
    checkpoint = checkpoint_of(source)
    dense = densify(checkpoint.model).to(checkpoint.declared_dtype if dtype == "auto" else getattr(torch, dtype))
    if (checkpoint.folder / COMPRESSION_FILE).is_file():
        record = record_of_weights(checkpoint.folder)
        record = replace(record, left_out=(*record.left_out, *checkpoint.left_out))
        write_compressed(dense, out, record, checkpoint.carried, overwrite, action="densify")
    else:
        write_dense(dense, out, checkpoint.carried, overwrite)
    return dense
