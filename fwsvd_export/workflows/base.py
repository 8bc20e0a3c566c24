"""What ``compression.json`` says of the dense model that came in, which only its files tell."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.record import CompressionRecord, FileDigest
from fwsvd_export.checkpoints.weights import stored_weights, weights_files
from fwsvd_export.hub.card.base import read_base_card


def with_base(record: CompressionRecord, dense: Checkpoint) -> CompressionRecord:
    """The record of a compression with what the files of the dense model tell.

    Args:
        record: of the compression.
        dense: the model.
    """
    files = weights_files(dense.folder)
    return replace(
        record,
        base_sha256=dense.sha256 if len(files) == 1 else None,
        base_files={file.name: FileDigest.of(file) for file in files},
        base_revision=dense.revision,
        base_weights=stored_weights(dense.folder),
        base_card=read_base_card(dense.folder),
        left_out=dense.left_out,
    )
