"""What lies in a checkpoint's folder, and whether it belongs there: no stray files, no links, no pickles."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fwsvd_export.checkpoints.record import ACCEPT_WEIGHTS
from fwsvd_export.hub.verify.findings import SAVE_AGAIN, Finding
from fwsvd_export.storage.file_names import (
    CARD_FILE,
    COMPRESSION_FILE,
    EXPORT_FILE,
    MEASUREMENTS_FILE,
    MODULE_FOLDER,
    ONNX_FOLDER,
    OPENVINO_INT8_FILE,
    OPENVINO_INT8_WEIGHTS,
    SENTENCE_FILES,
    SHARDS_INDEX,
    TOKENIZER_FILES,
    TRAINING_FILE,
    WEIGHTS_FILE,
)

_LEGAL = re.compile(r"(LICEN[CS]E|NOTICE)(\.txt|\.md)?")
_PLAIN = {
    "config.json",
    "generation_config.json",
    WEIGHTS_FILE,
    SHARDS_INDEX,
    COMPRESSION_FILE,
    MEASUREMENTS_FILE,
    TRAINING_FILE,
    CARD_FILE,
    ".gitattributes",
    *TOKENIZER_FILES,
    *SENTENCE_FILES,
}
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")  # as transformers names weights in several files
# What transformers' Trainer leaves beside a model to go on from: it is nobody else's, and half of it is pickled
_TRAINING = re.compile(
    r"training_args\.bin|optimizer\.pt|scheduler\.pt|scaler\.pt|rng_state(_\d+)?\.pth|trainer_state\.json"
    r"|(all|train|eval|predict|test)_results\.json|(checkpoint-\d+|runs)/"
)
_OF_A_MODULE = {"config.json", WEIGHTS_FILE}  # of sentence-transformers
_OPENVINO = {OPENVINO_INT8_FILE, OPENVINO_INT8_WEIGHTS}
_ONNX_PLAIN = {"config.json", "generation_config.json", "ort_config.json", EXPORT_FILE, *_OPENVINO, *TOKENIZER_FILES}
# What Python's pickle, torch, joblib and Keras write; loading such a file can run any code
_PICKLED_ENDINGS = {
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".keras",
    ".joblib",
    ".npy",
    ".npz",
}
# Protocols 2 to 5; the archive that torch.save makes; compressed; HDF5
_PICKLED_STARTS = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x1f\x8b|\x89HDF", re.DOTALL)
_ELSEWHERE = "move it out of the folder"


@dataclass(frozen=True)
class Contents:
    """What lies in a folder.

    Attributes:
        files: that belong to a checkpoint, path -> bytes.
        training: files and folders of the Trainer's, which are never looked into, loaded or sent.
        findings: what is wrong with the others.
    """

    files: dict[str, int]
    training: tuple[str, ...]
    findings: tuple[Finding, ...]


def belongs(path: str, code_files: Collection[str]) -> bool:
    """Whether a checkpoint with these code files may have a file of this path."""
    folder, _, name = path.rpartition("/")
    if folder == ONNX_FOLDER:
        return name in _ONNX_PLAIN or name.endswith(".onnx")
    if re.fullmatch(MODULE_FOLDER, folder):
        return name in _OF_A_MODULE
    return folder == "" and (
        name in _PLAIN or name in code_files or is_legal(name) or _SHARD.fullmatch(name) is not None
    )


def is_legal(name: str) -> bool:
    """Whether it is a licence or a notice: belongs to a checkpoint, and to a repository without one too."""
    return _LEGAL.fullmatch(name) is not None


def list_contents(folder: Path, code_files: Collection[str]) -> Contents:
    """Looks at everything in a folder without following links or opening what is no plain file.

    Args:
        folder: of a checkpoint.
        code_files: that it must have; a plain model has none.
    """
    files: dict[str, int] = {}
    training: list[str] = []
    findings: list[Finding] = []
    for path, entry in _entries(folder):
        name, status = _shown(path), entry.stat(follow_symlinks=False)
        if _TRAINING.fullmatch(path + "/" * entry.is_dir()):
            training.append(path + "/" * entry.is_dir())
        elif entry.is_symlink():
            findings.append(Finding(name, "is a link, not a file", "put a copy of the file in its place"))
        elif entry.is_dir():
            findings.append(Finding(f"{name}/", "is a folder that is no part of a checkpoint", _ELSEWHERE))
        elif not stat.S_ISREG(status.st_mode):
            findings.append(Finding(name, "is not a plain file", _ELSEWHERE))
        elif not os.access(entry.path, os.R_OK):
            findings.append(Finding(name, "cannot be read", "give yourself the right to read it"))
        elif problem := _pickle_in(Path(entry.path)):
            findings.append(Finding(name, problem, _ELSEWHERE))
        elif not belongs(path, code_files):
            findings.append(Finding(name, "is no part of a checkpoint", _ELSEWHERE))
        else:
            files[path] = status.st_size
    remedies = {
        **dict.fromkeys(code_files, SAVE_AGAIN),
        COMPRESSION_FILE: f"copy it from the folder that the model was loaded from, and {ACCEPT_WEIGHTS}",
        CARD_FILE: "write it with fwsvd-export card",
    }
    for needed, remedy in remedies.items():
        if needed not in files and all(finding.file != needed for finding in findings):
            findings.append(Finding(needed, "is missing", remedy))
    return Contents(files, tuple(training), tuple(findings))


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything in the folder, in its onnx/ and in those of its modules; other folders are not looked into."""
    inner = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            known = entry.name == ONNX_FOLDER or re.fullmatch(MODULE_FOLDER, entry.name)
            if known and entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                yield entry.name, entry
    for name in inner:
        with os.scandir(folder / name) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                yield f"{name}/{entry.name}", entry


def _pickle_in(path: Path) -> str:
    """What makes a file a pickle, by its name and by its first bytes; empty for none."""
    # OpenVINO's weights, which nothing unpickles, are known by the model beside them
    openvino = path.name == OPENVINO_INT8_WEIGHTS and (path.parent / OPENVINO_INT8_FILE).is_file()
    if path.suffix.lower() in _PICKLED_ENDINGS and not openvino:
        return f"is in a format ({path.suffix}) that can run code when it is loaded"
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="np"):
                return ""
        except (SafetensorError, OSError) as error:
            return f"is no safetensors file ({str(error).partition(':')[0]})"
    with path.open("rb") as file:
        start = file.read(4)
    return "is a pickle, or an archive, which can run code when it is loaded" if _PICKLED_STARTS.match(start) else ""


def _shown(path: str) -> str:
    """A path without characters that would do things to a terminal."""
    return path if path.isprintable() else ascii(path)
