"""Statistics to and from one safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from fwsvd_export.errors import StatisticsError, shown
from fwsvd_export.fisher.sample import CalibrationSample
from fwsvd_export.records import EmbeddingStatistics, LayerStatistics, Statistics, StatisticsSource

if TYPE_CHECKING:
    from torch import Tensor
from fwsvd_export.storage.json_files import parse_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.storage.schema import Count, Line, Number, check_format, read_as

STATISTICS_FORMAT = 2  # format 1 has no calibration sample, and is read like a file without
_COLLECT_AGAIN = "collect again with fwsvd-export fisher"
_PER_LAYER = ("gradient_gram", "row_input", "row_output", "element")
_EMBEDDING = ("row", "gradient_gram")
_SAMPLE = "sample."
_SAMPLE_FIELDS = ("token_ids", "lengths", "attention_mask")  # every other name is an input of the model


def save_statistics(statistics: Statistics, path: str | Path, overwrite: bool = False) -> None:
    """Writes statistics as one safetensors file; a shared input Gram is stored once.

    Args:
        statistics: from ``collect_statistics`` or ``merge_statistics``.
        path: of the file.
        overwrite: replace a file that exists.

    Raises:
        StatisticsError: something else is given.
        OutputError: the file exists already, or the disk is full.

    Example:
        >>> import tempfile, torch
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> statistics = fe.collect_statistics(BertModel(config), [{"input_ids": torch.ones(3, 5, dtype=torch.long)}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_statistics(statistics, Path(folder) / "statistics.safetensors")
        ...     load_statistics(Path(folder) / "statistics.safetensors").tokens
        15
    """
    if not isinstance(statistics, Statistics):
        raise StatisticsError(f"statistics {shown(statistics)}: what collect_statistics returns is needed")
    from safetensors.torch import save_file  # loads torch, which reading JSON and digests do without

    tensors, inputs = _tensors_of(statistics)
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
            "temperature": source.temperature,
            "embedding": source.embedding,
        },
    }
    with atomic_output(Path(path), overwrite) as file:
        save_file(tensors, file, metadata={"statistics": json.dumps(description)})


def _tensors_of(statistics: Statistics) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor by its name in the file, and layer name -> name of its input Gram, which layers may share."""
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
        parts = {field: getattr(statistics.sample, field) for field in _SAMPLE_FIELDS} | dict(statistics.sample.inputs)
        tensors |= {f"{_SAMPLE}{name}": values.contiguous() for name, values in parts.items() if values is not None}
    return tensors, inputs


def load_statistics(path: str | Path) -> Statistics:
    """Reads what ``save_statistics`` wrote; tensors stay mapped from disk until they are used.

    Args:
        path: of the file; a file of an earlier version has no calibration sample.

    Raises:
        StatisticsError: the file is missing, damaged, or no statistics file.

    Example:
        >>> import tempfile, torch
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> statistics = fe.collect_statistics(BertModel(config), [{"input_ids": torch.ones(3, 5, dtype=torch.long)}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_statistics(statistics, Path(folder) / "statistics.safetensors")
        ...     load_statistics(Path(folder) / "statistics.safetensors").collected
        ('kfac', 'row')
    """
    path = Path(path)
    if not path.is_file():
        raise StatisticsError(f"statistics file {path} does not exist; make one with fwsvd-export fisher")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "statistics" not in metadata:
                raise StatisticsError(f"{path} is no statistics file; make one with fwsvd-export fisher")
            description = _description(metadata["statistics"], path)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no dict
        sample = _read_sample(tensors)
        if not all(tensor.is_floating_point() for tensor in tensors.values()):
            raise ValueError("sums are floating-point numbers")
        layers = {
            name: LayerStatistics(
                input_gram=tensors[description.inputs[name]] if name in description.inputs else None,
                **{field: tensors.get(f"{name}.{field}") for field in _PER_LAYER},
            )
            for name in description.layers
        }
        source = StatisticsSource(**asdict(description.source))
        known = f"embedding.{_EMBEDDING[0]}" in tensors  # files of before have none
        embedding = EmbeddingStatistics(*(tensors[f"embedding.{field}"] for field in _EMBEDDING)) if known else None
        counts = description.examples, description.tokens
        return Statistics(layers, *counts, description.collected, source, embedding, sample)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise StatisticsError(
            f"statistics file {path} is damaged or cut short ({type(error).__name__}); {_COLLECT_AGAIN}"
        ) from error


@dataclass(frozen=True)
class _Source:
    """What the statistics were made from, as ``StatisticsSource`` has it."""

    model_sha256: Line
    task: Line | None
    data: Line | None
    labels: Line
    max_length: Count | None
    seed: int
    temperature: Number = 1.0  # of files that do not have it
    embedding: Line | None = None


@dataclass(frozen=True)
class _Description:
    """What stands beside the sums: counts, names, and which layers share an input."""

    format: Count
    examples: Count
    tokens: Count
    collected: tuple[Line, ...]
    layers: tuple[Line, ...]
    inputs: dict[str, str]
    source: _Source


def _description(text: str, path: Path) -> _Description:
    """The description in a file's metadata."""
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError("the description is an object")
    if document.get("format") != 1:
        check_format(document, STATISTICS_FORMAT, str(path), StatisticsError, _COLLECT_AGAIN)
    return read_as(_Description, document, str(path), StatisticsError, _COLLECT_AGAIN)


def _read_sample(tensors: dict[str, Tensor]) -> CalibrationSample | None:
    """The calibration sample, taken out of the tensors; None where there is none."""
    keys = [key for key in tensors if key.startswith(_SAMPLE)]
    parts = {key.removeprefix(_SAMPLE): tensors.pop(key) for key in keys}
    if not all(name.isidentifier() for name in parts):
        raise ValueError("inputs of a model have Python names")
    if not parts:
        return None
    # A sample always has token_ids and lengths: a file without one of them is damaged, which the KeyError says
    return CalibrationSample(
        parts.pop("token_ids"), parts.pop("lengths"), parts.pop("attention_mask", None), inputs=parts
    )
