"""Everything a card says, in one JSON object: gathered from a folder, or read from a committed results file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export.architectures.registry import family_of_class
from fwsvd_export.checkpoints.weights import stored_weights
from fwsvd_export.errors import CardError, CheckpointError, first_line
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Digests
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import EXPORT_FILE, ONNX_FILE, ONNX_FOLDER, WEIGHTS_FILE
from fwsvd_export.storage.json_files import parse_json

_NEEDED = ("base_model", "base_sha256", "method", "allocate", "parameters", "layers", "fisher", "versions")

Facts = dict[str, Any]


def digests_of(folder: Path, compression: dict[str, Any]) -> Digests:
    """The digests that tell results of the model and of its base apart from others.

    Raises:
        CheckpointError: the folder has no weights.
    """
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS_FILE}; give the folder that compress wrote")
    return {DENSE: compression.get("base_sha256"), COMPRESSED: file_sha256(weights)}


def gather_facts(folder: Path, compression: dict[str, Any], measurements: dict[str, Any], digests: Digests) -> Facts:
    """What the card of a folder says.

    Args:
        folder: as ``compress`` wrote it, with or without ``onnx/``.
        compression: the content of its ``compression.json``.
        measurements: as ``load_measurements`` gives them.
        digests: from ``digests_of``.

    Raises:
        CheckpointError: a config.json or a compression.json that is not one of ours.
        CardError: an ONNX model of other weights.
    """
    absent = [name for name in _NEEDED if name not in compression]
    if absent:
        raise CheckpointError(f"the compression.json in {folder} has no {absent[0]}; compress the base again")
    weights = stored_weights(folder)
    return {
        "compression": {name: value for name, value in compression.items() if name not in ("layers", "seconds")},
        "layers": {
            "all": len(compression["layers"]),
            "kept_dense": sum(layer["kept_dense"] for layer in compression["layers"]),
        },
        "model": {
            **_classes(folder),
            "weights": {"bytes": weights.bytes, "dtype": weights.dtype, "sha256": digests[COMPRESSED]},
        },
        "onnx": _onnx(folder, digests),
        "measurements": measurements,
    }


def _classes(folder: Path) -> dict[str, Any]:
    """The model's class, the Auto class that loads it, and how long an input may be."""
    try:
        config = parse_json((folder / "config.json").read_text(encoding="utf-8"))
        class_name = str(config["architectures"][0])
        auto_class = next(auto for auto, path in config["auto_map"].items() if path.endswith(f".{class_name}"))
        usable = family_of_class(class_name).usable_length(int(config["max_position_embeddings"]))
        return {"class": class_name, "auto_class": auto_class, "max_tokens": usable}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise CheckpointError(
            f"the config.json in {folder} is not one that compress wrote ({type(error).__name__}: {first_line(error)})"
        ) from error


def _onnx(folder: Path, digests: Digests) -> dict[str, Any] | None:
    """What the card says of the ONNX files; None when there are none."""
    if not (folder / ONNX_FOLDER / ONNX_FILE).is_file():
        return None
    sizes = {file.name: file.stat().st_size for file in sorted((folder / ONNX_FOLDER).glob("*.onnx"))}
    try:
        record = parse_json((folder / ONNX_FOLDER / EXPORT_FILE).read_text(encoding="utf-8"))
        int8 = record["int8"]
        found = {
            "files": sizes,
            "opset": int(record["opset"]),
            "check": {
                "atol": float(record["check"]["atol"]),
                "within": record["check"]["within"] is True,
                "max_difference": float(record["check"]["worst"]["max_difference"]),
                "shapes": len(record["check"]["shapes"]),
            },
            "int8": None if int8 is None else {"max_difference": float(int8["max_difference"]), **_measured(int8)},
        }
        made_from = record["file_sha256"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise CardError(
            f"{ONNX_FOLDER}/{EXPORT_FILE} cannot be read ({type(error).__name__}); run fwsvd-export onnx "
            "--overwrite again"
        ) from error
    if made_from != digests[COMPRESSED]:
        raise CardError("onnx/ was made from other weights than the model has; run fwsvd-export onnx --overwrite again")
    return found


def _measured(int8: dict[str, Any]) -> dict[str, Any]:
    """What was measured on data when the int8 model was made, if anything."""
    if "metric" not in int8:
        return {}
    texts = {name: str(int8[name]) for name in ("task", "data", "metric")}
    values = {name: float(int8[name]) for name in ("float_value", "value")}
    return {**texts, **values, "examples": int(int8["examples"]), "kept_float": len(int8["kept_float"])}
