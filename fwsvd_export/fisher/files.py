"""Statistics to and from one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from fwsvd_export.errors import StatisticsError, shown
from fwsvd_export.fisher.sample import SAMPLE_DEFAULTS, CalibrationSample
from fwsvd_export.records import EmbeddingStatistics, LayerStatistics, Statistics, StatisticsSource

if TYPE_CHECKING:
    from torch import Tensor
from fwsvd_export.storage.json_files import parse_json
from fwsvd_export.storage.output import atomic_output

STATISTICS_FORMAT = 2
_READ_FORMATS = (1, STATISTICS_FORMAT)  # 1 has no calibration sample, and is read like a file without
_LARGEST_COUNT = 10**15  # of examples or tokens: far above any, and every float holds it exactly
_LONGEST_TEXT = 1000
_PER_LAYER = ("gradient_gram", "row_input", "row_output", "element")
_EMBEDDING = ("row", "gradient_gram")
_SAMPLE = ("token_ids", "lengths", *SAMPLE_DEFAULTS)


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
    if statistics.sample is not None:
        for field in _SAMPLE:
            if (values := getattr(statistics.sample, field)) is not None:
                tensors[f"sample.{field}"] = values.contiguous()
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
        if description["format"] not in _READ_FORMATS:
            raise StatisticsError(
                f"{path} has statistics format {shown(description['format'])}, this version reads "
                f"{' and '.join(map(str, _READ_FORMATS))}; collect again with fwsvd-export fisher"
            )
        _check_description(description)
        sample = _read_sample(tensors)
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
        return Statistics(layers, *counts, collected, source, embedding, sample)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StatisticsError(
            f"statistics file {path} is damaged or cut short ({type(error).__name__}); "
            "collect again with fwsvd-export fisher"
        ) from error


def _read_sample(tensors: dict[str, Tensor]) -> CalibrationSample | None:
    """The calibration sample, taken out of the tensors; None where there is none."""
    parts = {name: tensors.pop(f"sample.{name}") for name in _SAMPLE if f"sample.{name}" in tensors}
    return CalibrationSample(**parts) if parts else None


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
