"""Writing a checkpoint's folder, and reading the record of how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export.checkpoints.carried import Carried
from fwsvd_export.checkpoints.record import RESTORE_RECORD, CompressionRecord
from fwsvd_export.checkpoints.tokenizer import write_tokenizer
from fwsvd_export.checkpoints.weights import required_weights_files
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.file_names import COMPRESSION_FILE
from fwsvd_export.storage.json_files import read_json, write_json
from fwsvd_export.storage.output import atomic_output


def write_dense(model: Any, out: Path, carried: Carried, overwrite: bool = False) -> None:
    """Config and weights of a plain model, and what is carried over to it, atomically.

    Raises:
        OutputError: the folder exists and is not empty, or the disk is full.
        CheckpointError: a tokenizer that would not be read from the folder.
    """
    with atomic_output(out, overwrite) as folder:
        write_model(model, folder, carried)


def read_compression(folder: str | Path) -> CompressionRecord:
    """The record of how the model in a folder was made.

    Args:
        folder: with a ``compression.json``.

    Raises:
        CheckpointError: there is none, it is no JSON, or it does not hold what such a record must.

    Example:
        >>> import tempfile
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fe.compress(BertModel(config), method="svd", rank=4).save_pretrained(folder)
        ...     record = read_compression(Path(folder))
        >>> record.method, record.history[0].action, record.since
        ('svd', 'compress', ())
    """
    path = Path(folder) / COMPRESSION_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no {COMPRESSION_FILE}, so it does not say how it was made; copy the one of the folder that "
            "the model was loaded from into it"
        )
    return CompressionRecord.from_json(read_json(path, remedy=RESTORE_RECORD), str(path))


def record_of_weights(folder: Path) -> CompressionRecord:
    """The record of a folder with its weights as they are: what was changed without a word is entered as accepted.

    Raises:
        CheckpointError: as ``read_compression``.
    """
    record = read_compression(folder)
    return record.after("accept", folder) if record.files and not record.describes(folder) else record


def accept_weights(folder: Path) -> CompressionRecord:
    """Enters the weights of a folder in its record, whoever changed them; those that it names already change nothing.

    Returns:
        The record that lies in the folder after it.

    Raises:
        CheckpointError: there is no record or it is damaged, or the folder has no weights.
    """
    record = read_compression(folder)
    required_weights_files(folder)
    if not record.describes(folder):
        record = record.after("accept", folder)
        with atomic_output(folder / COMPRESSION_FILE, overwrite=True) as file:
            write_json(file, record.to_json())
    return record


def write_compression(record: CompressionRecord, folder: Path) -> None:
    """Writes the record into a folder."""
    write_json(folder / COMPRESSION_FILE, record.to_json())


def write_model(model: Any, folder: Path, carried: Carried) -> None:
    """Config, weights, where it has any its own code, and what is carried over, into a folder that may be missing.

    Raises:
        CheckpointError: a tokenizer that would not be read from the folder.
    """
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    write_tokenizer(carried.tokenizer_files, folder, model.config)
    if carried.modules is not None:
        carried.modules.write(folder)
