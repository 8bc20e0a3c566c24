"""Everything a card says, in one JSON object: gathered from a folder, or read from a committed results file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES, family_of_class
from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.checkpoints.sentence_modules import sentence_class_of
from fwsvd_export.checkpoints.weights import count_of, required_weights_files, stored_weights, weights_digest
from fwsvd_export.errors import CardError, CheckpointError
from fwsvd_export.export.record import EXPORT_AGAIN, ExportRecord, RecordedInt8
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Digests, Measurements
from fwsvd_export.storage.file_names import (
    CONFIG_FILE,
    EXPORT_FILE,
    ONNX_FILE,
    ONNX_FOLDER,
    TOKENIZER_FILE,
    VOCABULARY_FILES,
)
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.schema import Line, Size, read_as, to_builtins
from fwsvd_export.wording import neurons_in_words

Facts = dict[str, Any]
_REMEDY = "save the model into the folder again"
_RESHAPED = "its head or its vocabulary was changed, it has {:,} parameters now and had {:,} before"
_UNRECORDED = "the weights were changed by something that left no word of it"


@dataclass(frozen=True)
class _Settings:
    """What a card needs of ``config.json``."""

    model_type: Line
    architectures: Annotated[tuple[Line, ...], Meta(min_length=1, description="a list of class names")]
    max_position_embeddings: Size
    pad_token_id: int | None = None
    auto_map: dict[str, Any] | None = None


def digests_of(folder: Path, record: CompressionRecord) -> Digests:
    """The digests that tell results of the model and of its base apart from others.

    Raises:
        CheckpointError: the folder has no weights.
    """
    return {DENSE: record.base_digest, COMPRESSED: weights_digest(required_weights_files(folder))}


def gather_facts(folder: Path, record: CompressionRecord, measurements: Measurements, digests: Digests) -> Facts:
    """What the card of a folder says.

    Args:
        folder: as ``compress`` or ``densify`` wrote it, with or without ``onnx/``.
        record: its ``compression.json``.
        measurements: as ``load_measurements`` gives them.
        digests: from ``digests_of``.

    Raises:
        CheckpointError: a config.json that is not one of ours.
        CardError: an ONNX model of other weights.
    """
    weights = stored_weights(folder)
    since, unrecorded = list(record.since), bool(record.files) and not record.describes(folder)
    if unrecorded:
        since.append(_UNRECORDED)
    classes, parameters = _classes(folder), count_of(folder)
    before = record.parameters.total_dense if classes["plain"] else record.parameters.total_compressed
    if parameters != before:
        since.append(_RESHAPED.format(parameters, before))
    return {
        "compression": {name: value for name, value in record.to_json().items() if name not in ("layers", "seconds")},
        "neurons": None if record.neurons is None else neurons_in_words(*record.neurons),
        "layers": {"all": len(record.layers), "kept_dense": sum(layer.kept_dense for layer in record.layers)},
        "model": {
            **classes,
            "sentence_class": sentence_class_of(folder),
            "parameters": parameters,
            "tokenizer": any((folder / name).is_file() for name in VOCABULARY_FILES),
            "weights": {"bytes": weights.bytes, "dtype": weights.dtype, "sha256": digests[COMPRESSED]},
        },
        "since": since,
        "unrecorded": unrecorded,
        "retrained": unrecorded or record.retrained or parameters != before,
        "onnx": _onnx(folder, digests),
        "measurements": measurements.to_json(),
    }


def _classes(folder: Path) -> dict[str, Any]:
    """The model's class, the Auto class that loads it, whether it is plain, and how long an input may be."""
    path = folder / CONFIG_FILE
    settings = read_as(_Settings, read_json(path, remedy=_REMEDY), str(path), CheckpointError, _REMEDY)
    class_name, plain = settings.architectures[0], settings.model_type not in LOW_RANK_FAMILIES
    family = family_of_class(class_name)
    auto_class: str | None
    if plain:
        auto_class = family.head(class_name).auto_class
    else:
        autos = (settings.auto_map or {}).items()
        auto_class = next((auto for auto, name in autos if str(name).endswith(f".{class_name}")), None)
    if auto_class is None:
        raise CheckpointError(f"{path}: auto_map has no Auto class for {class_name}; {_REMEDY}")
    return {
        "class": class_name,
        "auto_class": auto_class,
        "plain": plain,
        "max_tokens": family.usable_length(settings),
    }


def _onnx(folder: Path, digests: Digests) -> dict[str, Any] | None:
    """What the card says of the ONNX files; None when there are none."""
    if not (folder / ONNX_FOLDER / ONNX_FILE).is_file():
        return None
    place = f"{ONNX_FOLDER}/{EXPORT_FILE}"
    document = read_json(folder / ONNX_FOLDER / EXPORT_FILE, CardError, place, EXPORT_AGAIN)
    record = ExportRecord.from_json(document, place, CardError)
    if record.file_sha256 != digests[COMPRESSED]:
        raise CardError(f"onnx/ was made from other weights than the model has; {EXPORT_AGAIN}")
    return {
        "files": {file.name: file.stat().st_size for file in sorted((folder / ONNX_FOLDER).glob("*.onnx"))},
        "tokenizer": (folder / ONNX_FOLDER / TOKENIZER_FILE).is_file(),
        "opset": record.opset,
        "check": {
            "atol": record.check.atol,
            "within": record.check.within,
            "max_difference": record.check.worst.max_difference,
            "shapes": len(record.check.shapes),
        },
        "int8": None if record.int8 is None else _int8(record.int8),
    }


def _int8(int8: RecordedInt8) -> dict[str, Any]:
    """How far the int8 model is from torch, how large its sums are, and what was measured on data, if anything."""
    saturation = None if int8.saturation is None else to_builtins(int8.saturation)
    found = {"max_difference": int8.max_difference, "saturation": saturation}
    if int8.metric is None:
        return found
    names = ("task", "data", "metric", "float_value", "value", "examples")
    interval = ("low", "high", "confidence") if int8.confidence is not None else ()
    return {**found, **{name: getattr(int8, name) for name in (*names, *interval)}, "kept_float": len(int8.kept_float)}
