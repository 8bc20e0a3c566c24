"""A compressed model becomes its folder: weights, code, tokenizer, record and card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.checkpoints.folder import write_compression, write_model
from fwsvd_export.checkpoints.record import Action, CompressionRecord
from fwsvd_export.hub.card.write import write_card
from fwsvd_export.storage.output import atomic_output


def write_compressed(
    model: Any,
    out: Path,
    record: CompressionRecord,
    tokenizer_files: Sequence[Path],
    overwrite: bool = False,
    *,
    action: Action = "compress",
) -> CompressionRecord:
    """Config, code where the model has any, weights, tokenizer, card and ``compression.json``, atomically.

    Args:
        model: compressed, or made plain again.
        out: the folder.
        record: how the model was made, up to now.
        tokenizer_files: to copy.
        overwrite: replace the folder.
        action: what was done last, for the history.

    Returns:
        What was written as ``compression.json``: the record with the digests of the weights and one more entry.

    Raises:
        OutputError: the folder exists and is not empty, or the disk is full.
    """
    with atomic_output(out, overwrite) as folder:
        write_model(model, folder, tokenizer_files)
        written = record.after(action, folder)
        write_compression(written, folder)
        write_card(folder, written)
    return written
