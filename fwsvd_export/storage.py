"""Records to and from disk: safetensors and JSON, written whole or not at all, never pickled."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from fwsvd_export.errors import CheckpointError, OutputError, StatisticsError, first_line, shown
from fwsvd_export.records import EmbeddingStatistics, LayerStatistics, Statistics, StatisticsSource

if TYPE_CHECKING:
    from torch import Tensor

STATISTICS_FORMAT = 1
_HASH_BLOCK_BYTES = 1 << 20
_LARGEST_JSON_BYTES = 16_000_000
_DEEPEST_JSON = 32  # objects and lists inside each other; a configuration has three
# What an operating system says when a disk, a quota or a file-size limit is full.
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_LARGEST_COUNT = 10**15  # of examples or tokens: far above any, and every float holds it exactly
_LONGEST_TEXT = 1000
_PER_LAYER = ("gradient_gram", "row_input", "row_output", "element")
_EMBEDDING = ("row", "gradient_gram")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses an output that exists (an empty folder does not count) unless ``overwrite``.

    Raises:
        OutputError: it exists, it is ``.`` or ``..``, or its parent is not a folder.
    """
    if path.name in ("", ".."):
        raise OutputError(f"{path} cannot be replaced while it is in use; give the output a name of its own")
    occupied = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if occupied and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or give --overwrite")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")


@contextmanager
def atomic_output(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A path of the same name in a temporary sibling folder; whatever is made there (a file or a folder) moves whole.

    When the block raises, an interrupt included, nothing is left behind.

    Raises:
        OutputError: ``path`` exists already, cannot be written, or the disk is full.
    """
    check_output(path, overwrite)
    try:
        sibling = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.absolute().parent))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
    try:
        yield sibling / path.name
        _give_usual_modes(sibling / path.name)
        _replace(sibling / path.name, path)
    except (OSError, SafetensorError) as error:
        if _disk_is_full(error):
            raise OutputError(
                f"no space left while writing {path}; nothing was kept: free some space or choose another disk"
            ) from error
        raise
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON document, indented, with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file that somebody else may have written.

    Raises:
        CheckpointError: the file cannot be read, is no JSON object, is too large, or holds what other readers refuse.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_JSON_BYTES:
            raise ValueError(f"it has {size / 1e6:,.1f} MB, and at most {_LARGEST_JSON_BYTES / 1e6:.0f} are read")
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {first_line(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return value


def parse_json(text: str) -> Any:
    """As ``json.loads``, but what the standard does not know, or would end Python's own stack, is refused.

    Raises:
        ValueError: no JSON; NaN or infinite numbers; texts that are no Unicode; too many levels.
    """
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deeply") from error
    level = [document]
    for _ in range(_DEEPEST_JSON):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("it holds NaN or an infinite number, which is no JSON")
            elif isinstance(value, str):
                value.encode()  # half of a pair of surrogates is no character
        if not inner:
            return document
        level = inner
    raise ValueError(f"lists and objects are nested more than {_DEEPEST_JSON} levels deep")


@dataclass(frozen=True)
class StoredTensor:
    """What a safetensors header says of a tensor; ``dtype`` is its own name for it (F32, BF16, I64, …)."""

    dtype: str
    shape: tuple[int, ...]


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Every tensor in a safetensors file by name; the numbers are not read.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            parts = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - safe_open is no dict
            return {name: StoredTensor(str(part.get_dtype()), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{file} cannot be read: {first_line(error)}") from error


def save_statistics(statistics: Statistics, path: Path, overwrite: bool = False) -> None:
    """Writes statistics as one safetensors file; a shared input Gram is stored once.

    Raises:
        OutputError: the file exists already, or the disk is full.
    """
    from safetensors.torch import save_file  # loads torch, which reading JSON and digests do without

    tensors: dict[str, Tensor] = {}
    inputs: dict[str, str] = {}
    stored: dict[int, str] = {}
    for name, layer in statistics.layers.items():
        if layer.input_gram is not None:
            key = stored.setdefault(id(layer.input_gram), f"{name}.input_gram")
            tensors[key] = layer.input_gram.cpu().contiguous()
            inputs[name] = key
        for field in _PER_LAYER:
            tensor = getattr(layer, field)
            if tensor is not None:
                tensors[f"{name}.{field}"] = tensor.cpu().contiguous()
    if statistics.embedding is not None:
        for field in _EMBEDDING:
            tensors[f"embedding.{field}"] = getattr(statistics.embedding, field).cpu().contiguous()
    source = statistics.source
    description = {
        "format": STATISTICS_FORMAT,
        "examples": statistics.examples,
        "tokens": statistics.tokens,
        "collected": list(statistics.collected),
        "layers": list(statistics.layers),
        "inputs": inputs,
        "source": {
            "model_sha256": source.model_sha256,
            "task": source.task,
            "data": source.data,
            "labels": source.labels,
            "max_length": source.max_length,
            "seed": source.seed,
        },
    }
    with atomic_output(path, overwrite) as file:
        save_file(tensors, file, metadata={"statistics": json.dumps(description)})


def load_statistics(path: Path) -> Statistics:
    """Reads what ``save_statistics`` wrote; tensors stay mapped from disk until they are used.

    Raises:
        StatisticsError: the file is missing, damaged, or no statistics file.
    """
    if not path.is_file():
        raise StatisticsError(f"statistics file {path} does not exist; make one with fwsvd-export fisher")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "statistics" not in metadata:
                raise StatisticsError(f"{path} is no statistics file; make one with fwsvd-export fisher")
            description = parse_json(metadata["statistics"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no dict
        if description["format"] != STATISTICS_FORMAT:
            raise StatisticsError(
                f"{path} has statistics format {shown(description['format'])}, this version reads {STATISTICS_FORMAT}; "
                "collect again with fwsvd-export fisher"
            )
        _check_description(description)
        if not all(tensor.is_floating_point() for tensor in tensors.values()):
            raise ValueError("sums are floating-point numbers")
        layers = {
            name: LayerStatistics(
                input_gram=tensors[description["inputs"][name]] if name in description["inputs"] else None,
                **{field: tensors.get(f"{name}.{field}") for field in _PER_LAYER},
            )
            for name in description["layers"]
        }
        source = StatisticsSource(**description["source"])
        collected = tuple(description["collected"])
        known = f"embedding.{_EMBEDDING[0]}" in tensors  # files of before have none
        embedding = EmbeddingStatistics(*(tensors[f"embedding.{field}"] for field in _EMBEDDING)) if known else None
        counts = description["examples"], description["tokens"]
        return Statistics(layers, *counts, collected, source, embedding)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StatisticsError(
            f"statistics file {path} is damaged or cut short ({type(error).__name__}); "
            "collect again with fwsvd-export fisher"
        ) from error


def _check_description(description: dict[str, Any]) -> None:
    """Refuses what ``save_statistics`` never writes; ``load_statistics`` says that the file is damaged."""
    source = description["source"]
    if not all(isinstance(description[name], list) for name in ("collected", "layers")):
        raise ValueError("names come in lists")
    texts = [source["model_sha256"], source["labels"], *description["collected"], *description["layers"]]
    texts += [source[name] for name in ("task", "data") if source[name] is not None]
    numbers = [description["examples"], description["tokens"]]
    numbers += [source["max_length"]] if source["max_length"] is not None else []
    if not all(isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST_TEXT for text in texts):
        raise ValueError("names are texts of one line")
    if not all(type(number) is int and 0 <= number <= _LARGEST_COUNT for number in numbers):
        raise ValueError("counts are whole numbers")
    if type(source["seed"]) is not int or not isinstance(description["inputs"], dict):
        raise ValueError("the seed is a whole number, and inputs are an object")


def _disk_is_full(error: BaseException) -> bool:
    """Whether an error, or the text of safetensors' own, means that nothing more can be written."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    number = re.search(r"(?:code: |os error )(\d+)", str(error))  # older and newer safetensors
    return number is not None and int(number[1]) in _FULL


def _give_usual_modes(made: Path) -> None:
    """Gives files the mode of any new file here: safetensors makes its own readable by the owner alone."""
    probe = made.with_name(f"{made.name}.mode")
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    for file in made.rglob("*") if made.is_dir() else [made]:
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) != mode:
            file.chmod(mode)


def _replace(source: Path, target: Path) -> None:
    """Renames a file or folder over what is there; what a rename cannot replace is set aside first, then removed."""
    if not target.exists() or (source.is_file() and target.is_file()):
        source.replace(target)
        return
    aside = source.with_name(f"{source.name}.old")
    target.replace(aside)
    try:
        source.replace(target)
    except OSError:
        aside.replace(target)
        raise
