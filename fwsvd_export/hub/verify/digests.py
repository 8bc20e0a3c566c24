"""Whether code, weights and ONNX files are those that were made, by their SHA-256."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.checkpoints.record import ACCEPT_WEIGHTS, CompressionRecord, FileDigest
from fwsvd_export.checkpoints.weights import weights_digest, weights_files
from fwsvd_export.errors import CardError, message_of, shown
from fwsvd_export.export.record import ExportRecord
from fwsvd_export.hub.verify.findings import SAVE_AGAIN, Finding
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import (
    COMPRESSION_FILE,
    EXPORT_FILE,
    ONNX_FOLDER,
    OPENVINO_INT8_FILE,
    OPENVINO_INT8_WEIGHTS,
)
from fwsvd_export.storage.json_files import read_json

_CONFIGS = ("config.json", "tokenizer_config.json")


def check_code(
    folder: Path, files: Mapping[str, int], family: Family, code_files: Collection[str]
) -> Iterator[Finding]:
    """The code files, byte for byte; configurations must not name any other code."""
    for name in code_files:
        if name in files and file_sha256(folder / name) != file_sha256(family.shipped(name)):
            advice = f"if it is another version's, take the .py files out, then {SAVE_AGAIN}"
            yield Finding(name, "is not the code that this installation writes", advice)
    modules = {Path(name).stem for name in code_files}
    for prefix, allowed in (("", modules), (f"{ONNX_FOLDER}/", set[str]())):
        for path in (prefix + name for name in _CONFIGS if prefix + name in files):
            named = _texts(_json_object(folder / path).get("auto_map"))
            other = next((text for text in named if text.partition(".")[0] not in allowed), None)
            if other is not None:
                yield Finding(path, f"names code that is not in this folder, {other!r}", "take it out of auto_map")


def check_weights(folder: Path, files: Mapping[str, int], record: CompressionRecord) -> Iterator[Finding]:
    """Every weights file against the digest in ``compression.json``, whatever was done since the compression."""
    if not record.files:
        yield Finding(COMPRESSION_FILE, "holds no digest of the weights", ACCEPT_WEIGHTS)
        return
    found = {path for path in files if path.endswith(".safetensors") and "/" not in path}  # not of modules
    for name in sorted(found | set(record.files)):
        if name not in found:
            yield Finding(shown(name)[1:-1], f"is missing, {COMPRESSION_FILE} names it", ACCEPT_WEIGHTS)
        elif _digest_in(record.files, name) != file_sha256(folder / name):
            yield Finding(name, f"does not hold the weights that {COMPRESSION_FILE} describes", ACCEPT_WEIGHTS)


def check_onnx(folder: Path, files: Mapping[str, int]) -> Iterator[Finding]:
    """The ONNX files against their record, the record against the checkpoint, and what the export's own check said."""
    graphs = [
        path
        for path in files
        if path.endswith(".onnx") or path.rpartition("/")[2] in (OPENVINO_INT8_FILE, OPENVINO_INT8_WEIGHTS)
    ]
    if not any(path.startswith(f"{ONNX_FOLDER}/") for path in files):
        return
    record_path = f"{ONNX_FOLDER}/{EXPORT_FILE}"
    advice = "make it again with fwsvd-export onnx --overwrite"
    if record_path not in files:
        yield Finding(record_path, "is missing, so nobody knows what the ONNX files were made from", advice)
        return
    try:
        record = ExportRecord.from_json(read_json(folder / record_path, CardError, record_path), record_path, CardError)
    except CardError as error:
        problem = message_of(error).removeprefix(record_path).lstrip(": ").rpartition("; ")[0]
        yield Finding(record_path, problem, advice)
        return
    for path in sorted({*graphs, *(f"{ONNX_FOLDER}/{name}" for name in record.files)}):
        name = path.removeprefix(f"{ONNX_FOLDER}/")
        if path not in files:
            yield Finding(shown(path)[1:-1], f"is missing, {EXPORT_FILE} names it", advice)
        elif _digest_in(record.files, name) != file_sha256(folder / path):
            yield Finding(path, f"is not the file that {EXPORT_FILE} describes", advice)
    weights = weights_files(folder)
    if weights and record.file_sha256 != weights_digest(weights):
        yield Finding(record_path, "was made from other weights than this folder's", advice)
    if not record.check.within:
        yield Finding(record_path, "says that the ONNX model is further from torch than --atol allows", advice)
    if record.int8 is not None and not (record.int8.saturation and record.int8.saturation.safe):
        problem = "does not say that the int8 model is right on processors without VNNI instructions"
        yield Finding(record_path, problem, "make it again with fwsvd-export onnx --int8 --overwrite")


def _digest_in(recorded: Mapping[str, FileDigest], name: str) -> str | None:
    entry = recorded.get(name)
    return None if entry is None else entry.sha256


def _json_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty for anything else, which the search for secrets reports."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> Iterator[str]:
    """All texts inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
