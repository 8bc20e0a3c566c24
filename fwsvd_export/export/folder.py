"""The ``onnx`` folder of a checkpoint: how it is written, what lies beside the ONNX file, and whether they belong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.assembly import carried_settings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.tokenizer import load_tokenizer, write_tokenizer
from fwsvd_export.errors import ExportError
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.place import Place
from fwsvd_export.export.saturation import bounded
from fwsvd_export.export.session import ExportedModel, OnnxModel
from fwsvd_export.storage.file_names import CONFIG_FILE, INT8_FILE, ONNX_FOLDER, TOKENIZER_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output, check_output

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.load import Checkpoint


def check_onnx_output(parent: Path, overwrite: bool) -> None:
    """Refuses what ``onnx_output`` would refuse, before the work; raises as it does."""
    check_output(parent / ONNX_FOLDER if parent.is_dir() else parent, overwrite)


@contextmanager
def onnx_output(parent: Path, overwrite: bool) -> Iterator[Path]:
    """An empty folder that becomes ``parent/onnx``, atomically; ``parent`` is made when it is missing.

    Raises:
        OutputError: ``parent/onnx`` exists and is not empty, cannot be written, or the disk is full.
    """
    if parent.is_dir():
        with atomic_output(parent / ONNX_FOLDER, overwrite) as folder:
            folder.mkdir()
            yield folder
    else:
        with atomic_output(parent, overwrite) as root:
            folder = root / ONNX_FOLDER
            folder.mkdir(parents=True)
            yield folder


def write_surroundings(checkpoint: Checkpoint, folder: Path) -> None:
    """The plain config.json and, where the checkpoint has one, the tokenizer, for readers that know no low-rank models.

    Raises:
        CheckpointError: the tokenizer cannot be read.
    """
    write_json(folder / CONFIG_FILE, plain_settings(checkpoint.encoder))
    write_tokenizer(checkpoint.tokenizer_files, folder, checkpoint.model.config)
    if checkpoint.has_tokenizer and not (folder / TOKENIZER_FILE).exists():
        tokenizer = load_tokenizer(checkpoint)
        if tokenizer.is_fast:  # ESM's is written in Python: its vocabulary and settings are all that there is
            tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))


def plain_settings(encoder: Encoder) -> dict[str, Any]:
    """What the configuration of the uncompressed architecture says, without any code of ours."""
    model, dense_class = encoder.model, encoder.dense_class_name
    config_class = encoder.family.dense_config_class()
    settings: dict[str, Any] = json.loads(config_class(**carried_settings(model.config)).to_json_string())
    settings.pop("dtype", None)  # transformers 5 reads the older key too, older versions only that
    if dense_class.endswith("Classification"):  # readers without transformers do not know the default names
        settings["id2label"] = {str(number): name for number, name in model.config.id2label.items()}
    return {**settings, "architectures": [dense_class], "torch_dtype": "float32"}


def open_exported(
    place: Place,
    file_name: str,
    identity: Identity,
    threads: int | None = None,
    run: Callable[[Path], ExportedModel] | None = None,
) -> ExportedModel:
    """The exported model at a place, when it was made from the checkpoint of that identity.

    Args:
        place: the folder that has ``onnx/``.
        file_name: of the ONNX file, or of OpenVINO's own.
        identity: of the checkpoint.
        threads: as for ``OnnxModel``.
        run: opens the file in the folder; None is onnxruntime.

    Raises:
        ExportError: there is none, it cannot be read, it was made from another checkpoint, or it is an int8 model that
            some processors cut off.
        MissingExtraError: what runs it is not installed.
    """
    folder = place.parent / ONNX_FOLDER
    file, advice = folder / file_name, place.advice(file_name)
    if not file.is_file():
        raise ExportError(f"{place.parent} has no {ONNX_FOLDER}/{file_name}; make it with {advice}")
    model = OnnxModel(folder, file_name, threads) if run is None else run(folder)
    made_from = Identity.read(model.metadata)
    if made_from is None:
        raise ExportError(f"{file} does not say which checkpoint it was made from; make it with {advice}")
    if not made_from.belongs_to(identity):
        raise ExportError(
            f"{file} was made from another checkpoint, {made_from.model} with weights {made_from.weights_sha256[:12]}; "
            f"these are {identity.weights_sha256[:12]}: make it again with {advice}"
        )
    if file_name == INT8_FILE:
        bounded(file, str(file), f"make it again with {advice}")
    return model
