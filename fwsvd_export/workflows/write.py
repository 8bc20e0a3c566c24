"""A compressed model becomes its folder: weights, code, what is carried over, record and card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fwsvd_export.checkpoints.carried import Carried
from fwsvd_export.checkpoints.folder import write_compression, write_model
from fwsvd_export.checkpoints.record import Action, CompressionRecord, Detail
from fwsvd_export.hub.card.write import write_card
from fwsvd_export.storage.file_names import TRAINING_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.training.record import TrainingRecord


def write_compressed(
    model: Any,
    out: Path,
    record: CompressionRecord,
    carried: Carried,
    overwrite: bool = False,
    *,
    action: Action = "compress",
    details: Mapping[str, Detail] | None = None,
    training: TrainingRecord | None = None,
) -> CompressionRecord:
    """Config, code where the model has any, weights, what is carried over, card and ``compression.json``, atomically.

    Args:
        model: compressed, or made plain again.
        out: the folder.
        record: how the model was made, up to now.
        carried: files of the folder that the model was made from.
        overwrite: replace the folder.
        action: what was done last, for the history.
        details: small facts about it, for the history.
        training: what ``training.json`` says; None for no such file.

    Returns:
        What was written as ``compression.json``: the record with the digests of the weights and one more entry.

    Raises:
        OutputError: the folder exists and is not empty, or the disk is full.
    """
    with atomic_output(out, overwrite) as folder:
        write_model(model, folder, carried)
        written = record.after(action, folder, **(details or {}))
        write_compression(written, folder)
        if training is not None:
            write_json(folder / TRAINING_FILE, training.to_json())
        write_card(folder, written)
    return written
