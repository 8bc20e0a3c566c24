"""The rows of a card's tables; a cell of what was not measured is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fwsvd_export.evaluation.difference import Interval
from fwsvd_export.hub.card.facts import Facts
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE

_ONNX_FILES = {
    "onnxruntime": ("model.onnx", "ONNX file, float32"),
    "onnxruntime-int8": ("model_quantized.onnx", "ONNX file, int8"),
}


_DIFFERENCE = "difference"
_UNSTEADY = 2  # a 90th percentile of so many medians: something else ran on the machine


@dataclass(frozen=True)
class SizeRow:
    """A file of both models."""

    what: str
    dense: str
    compressed: str


@dataclass(frozen=True)
class ScoreRow:
    """A metric of both models on the same data under the same runtime, and the interval of their difference."""

    task: str
    data: str
    examples: int
    metric: str
    runtime: str
    dense: str
    compressed: str
    difference: str


@dataclass(frozen=True)
class LatencyRow:
    """Milliseconds of both models at one shape, from one run: the median, and the 90th percentile in brackets."""

    runtime: str
    batch_size: int
    length: int
    dense: str
    compressed: str
    speedup: str
    operations: str


@dataclass(frozen=True)
class LatencyTable:
    """One run; ``quiet`` when no call took much longer than others of its kind."""

    environment: dict[str, Any]
    rows: tuple[LatencyRow, ...]
    quiet: bool


def size_table(facts: Facts) -> tuple[SizeRow, ...]:
    """Bytes on disk, as far as they are known."""
    own, base = facts["model"]["weights"], facts["compression"].get("base_weights")
    stored = f"{_megabytes(base['bytes'])} ({base['dtype']})" if base else ""
    rows = [SizeRow("weights file", stored, f"{_megabytes(own['bytes'])} ({own['dtype']})")]
    dense = {
        runtime: found["file_bytes"]
        for run in facts["measurements"]["runs"]
        for model in run["models"]
        if model["model"] == DENSE
        for runtime, found in model["runtimes"].items()
    }
    here = (facts["onnx"] or {"files": {}})["files"]
    for runtime, (file, what) in _ONNX_FILES.items():
        if file in here:
            rows.append(SizeRow(what, _megabytes(dense.get(runtime)), _megabytes(here[file])))
    return tuple(rows)


def score_table(scores: Sequence[dict[str, Any]]) -> tuple[ScoreRow, ...]:
    """Base and compressed side by side where task, data, number of examples and runtime are the same."""
    found: dict[tuple[Any, ...], dict[str, str]] = {}
    for score in scores:
        for metric, value in {score["metric"]: score["value"], **score["beside"]}.items():
            key = (score["task"], score["data"], score["examples"], metric, score["runtime"])
            cells = found.setdefault(key, {})
            cells[score["model"]] = f"{value:.4f}"
            if score.get("difference") is not None:
                cells[_DIFFERENCE] = _interval(score["difference"], score["metric"], metric)
    columns = (DENSE, COMPRESSED, _DIFFERENCE)
    return tuple(ScoreRow(*key, *(cells.get(name, "") for name in columns)) for key, cells in found.items())


def int8_interval(int8: dict[str, Any]) -> str:
    """The difference of the int8 file's metric from the float file's."""
    interval = Interval(int8["value"] - int8["float_value"], int8["low"], int8["high"])
    return f"{interval}, {100 * int8['confidence']:g} %"


def _interval(difference: dict[str, Any], main: str, metric: str) -> str:
    """The difference of a metric with its interval; empty where it was not measured."""
    found = difference if metric == main else difference["beside"].get(metric)
    if found is None:
        return ""
    interval = Interval(*(found[name] for name in ("value", "low", "high")))
    return f"{interval} ({100 * difference['confidence']:g} %)"


def latency_tables(runs: Sequence[dict[str, Any]]) -> tuple[LatencyTable, ...]:
    """A table per run; times of different runs are never set side by side."""
    tables = []
    for run in runs:
        shapes: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
        for model in run["models"]:
            for timing in model["latency"]:
                key = (timing["runtime"], timing["batch_size"], timing["length"])
                shapes.setdefault(key, {})[model["model"]] = timing
        rows = tuple(_latency_row(key, models) for key, models in shapes.items() if COMPRESSED in models)
        if rows:
            tables.append(LatencyTable(run["environment"], rows, _is_quiet(run)))
    return tuple(tables)


def _latency_row(shape: tuple[str, int, int], models: dict[str, dict[str, Any]]) -> LatencyRow:
    own, base = models[COMPRESSED], models.get(DENSE)
    return LatencyRow(
        *shape,
        _milliseconds(base) if base else "",
        _milliseconds(own),
        *(f"{own[name]:.2f} ×" if name in own else "" for name in ("speedup", "flops_ratio")),
    )


def _milliseconds(timing: dict[str, Any]) -> str:
    return f"{timing['median_ms']:.1f} ({timing['p90_ms']:.1f})"


def _is_quiet(run: dict[str, Any]) -> bool:
    timings = [timing for model in run["models"] for timing in model["latency"]]
    return all(timing["p90_ms"] <= _UNSTEADY * timing["median_ms"] for timing in timings)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"
