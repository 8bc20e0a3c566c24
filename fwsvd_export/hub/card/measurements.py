"""``measurements.json``: what was measured of a compressed model and of its base, as far as digests prove it.

It keeps ``evaluate``'s and ``bench``'s own fields, so that files of theirs and this one are read by the same functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CardError, first_line
from fwsvd_export.storage.file_names import MEASUREMENTS_FILE
from fwsvd_export.storage.names import without_folders

MEASUREMENTS_FORMAT = 1
DENSE, COMPRESSED = "dense", "compressed"
TORCH = "torch"

Record = dict[str, Any]
Digests = Mapping[str, str | None]
"""``dense`` and ``compressed`` -> SHA-256 of the weights file."""


@dataclass(frozen=True)
class _Fields:
    """One JSON object of a results file; every value is checked when it is taken."""

    values: Mapping[str, Any]
    place: str

    @classmethod
    def of(cls, value: Any, place: str) -> _Fields:
        """The object, or the sentence that it is none."""
        if not isinstance(value, dict):
            raise CardError(f"{place} holds no JSON object; give what evaluate --json prints or bench's results.json")
        return cls(value, place)

    def take(self, name: str, kind: type | tuple[type, ...], what: str) -> Any:
        """A field of a type."""
        value = self.values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CardError(f"{self.place}: {name} is {value!r}, {what} is needed; measure again with this version")
        return value

    def text(self, name: str) -> str:
        """A text, without folders."""
        return without_folders(self.take(name, str, "a text"))

    def text_or_none(self, name: str) -> str | None:
        """A text, without folders, or nothing."""
        return None if self.values.get(name) is None else self.text(name)

    def count_or_none(self, name: str) -> int | None:
        """A whole number, or nothing."""
        return None if self.values.get(name) is None else self.count(name)

    def count(self, name: str) -> int:
        """A whole number."""
        return int(self.take(name, int, "a whole number"))

    def number(self, name: str) -> float:
        """A finite number."""
        value = self.take(name, (int, float), "a number")
        if not math.isfinite(value):
            raise CardError(f"{self.place}: {name} is {value}, a finite number is needed; measure again")
        return float(value)

    def rows(self, name: str) -> list[_Fields]:
        """A list of objects."""
        return [_Fields.of(row, f"{self.place}, {name}") for row in self.take(name, list, "a list")]

    def inside(self, name: str) -> _Fields:
        """An object."""
        return _Fields.of(self.values.get(name), f"{self.place}, {name}")

    def numbers(self, name: str) -> dict[str, float]:
        """An object of finite numbers."""
        inner = self.inside(name)
        return {key: inner.number(key) for key in inner.values}


def load_measurements(folder: Path, digests: Digests) -> Record:
    """What the folder's file holds of these weights; what was measured on other weights is left out.

    Raises:
        CardError: the file is there and damaged.
    """
    record: Record = {"format": MEASUREMENTS_FORMAT, "published": None, "scores": [], "runs": []}
    if not (folder / MEASUREMENTS_FILE).exists():
        return record
    stored = _Fields.of(_read(folder / MEASUREMENTS_FILE), MEASUREMENTS_FILE)
    if stored.count("format") != MEASUREMENTS_FORMAT:
        raise CardError(
            f"{MEASUREMENTS_FILE} has another format than {MEASUREMENTS_FORMAT}; this version cannot read it"
        )
    if stored.values.get("published") is not None:
        published = stored.inside("published")
        record["published"] = {name: published.text_or_none(name) for name in ("repo_id", "revision")}
    for document in (*stored.rows("scores"), *stored.rows("runs")):
        record = _with(record, document, digests)
    return record


def with_results(record: Record, path: Path, digests: Digests) -> Record:
    """The record with the measurements of a results file; newer ones take the place of older ones.

    Args:
        record: from ``load_measurements``.
        path: the output of ``evaluate --json``, or ``results.json`` of ``bench``.
        digests: of the weights that the card is about.

    Raises:
        CardError: the file cannot be read, or nothing in it was measured on these weights.
    """
    document = _Fields.of(_read(path), path.name)
    rows = document.rows("models") if "models" in document.values else [document]
    if any("sha256" not in row.values for row in rows):
        raise CardError(
            f"{path.name} does not say which weights it is about (no sha256); give what this version's "
            "evaluate --json prints, or its bench's results.json"
        )
    if all(_name_of(row, digests) is None for row in rows):
        measured = ", ".join(str(row.values["sha256"] or "weights in several files")[:24] for row in rows) or "none"
        own, base = ((digests[name] or "unknown")[:24] for name in (COMPRESSED, DENSE))
        raise CardError(
            f"{path.name} was measured on other weights ({measured}): this model's digest is {own}, its base's {base}; "
            "measure one of these two"
        )
    return _with(record, document, digests)


def _name_of(row: _Fields, digests: Digests) -> str | None:
    """``dense`` or ``compressed`` where the digest tells so."""
    digest = row.values.get("sha256")
    return next((name for name, known in digests.items() if known is not None and known == digest), None)


def _with(record: Record, document: _Fields, digests: Digests) -> Record:
    """The record with whatever of a document is about these weights."""
    if "models" not in document.values:
        name = _name_of(document, digests)
        return record if name is None else _with_scores(record, [_score(document, name)])
    environment = document.inside("environment")
    rows = document.rows("models")
    against_dense = bool(rows) and _name_of(rows[0], digests) == DENSE
    models = []
    for row in rows:
        name = _name_of(row, digests)
        if name is not None:
            models.append(_model(row, name, against_dense))
            record = _with_scores(record, _bench_scores(row, environment, name))
    if not models:
        return record
    run = {"environment": _environment(environment), "models": models}
    others = [other for other in record["runs"] if _machine_key(other) != _machine_key(run)]
    return {**record, "runs": [*others, run]}


def _with_scores(record: Record, scores: list[Record]) -> Record:
    """A newer score of the same model, task, data and runtime replaces the older one."""
    keys = [_score_key(score) for score in scores]
    return {**record, "scores": [*(old for old in record["scores"] if _score_key(old) not in keys), *scores]}


def _score_key(score: Record) -> tuple[str, ...]:
    return tuple(score[name] for name in ("model", "task", "data", "runtime"))


def _machine_key(run: Record) -> tuple[Any, ...]:
    return tuple(run["environment"][name] for name in ("cpu", "threads"))


def _score(row: _Fields, name: str) -> Record:
    """A score as ``evaluate --json`` prints it, with the model's part in the card for its name."""
    return {
        "model": name,
        "sha256": row.text("sha256"),
        **{key: row.text(key) for key in ("task", "data", "runtime", "metric")},
        "value": row.number("value"),
        "beside": row.numbers("beside"),
        "examples": row.count("examples"),
        "environment": _environment(row.inside("environment")),
    }


def _bench_scores(row: _Fields, environment: _Fields, name: str) -> list[Record]:
    """The scores in one model's part of a bench, one per runtime; none when it measured speed alone."""
    if row.values.get("metric") is None:
        return []
    shared = {key: environment.text(key) for key in ("task", "data")}
    runtimes = row.inside("runtimes")
    return [
        {
            "model": name,
            "sha256": row.text("sha256"),
            **shared,
            "runtime": without_folders(runtime),
            "metric": row.text("metric"),
            "value": runtimes.inside(runtime).number("value"),
            "beside": runtimes.inside(runtime).numbers("beside"),
            "examples": row.count("examples"),
            "environment": _environment(environment),
        }
        for runtime in runtimes.values
    ]


def _model(row: _Fields, name: str, against_dense: bool) -> Record:
    """A model's part of a bench: sizes and latency. Ratios to another model than the base are left out."""
    ratios = ("speedup", "flops_ratio") if against_dense else ()
    runtimes = row.inside("runtimes")
    return {
        "model": name,
        "sha256": row.text("sha256"),
        "parameters": row.count("parameters"),
        "runtimes": {
            without_folders(runtime): {"file_bytes": runtimes.inside(runtime).count("file_bytes")}
            for runtime in runtimes.values
        },
        "latency": [
            {
                "runtime": timing.text("runtime"),
                **{key: timing.count(key) for key in ("batch_size", "length")},
                **{key: timing.number(key) for key in ("median_ms", "p90_ms")},
                **{key: timing.number(key) for key in ratios if key in timing.values},
            }
            for timing in row.rows("latency")
        ],
    }


def _environment(fields: _Fields) -> Record:
    versions = fields.inside("versions")
    return {
        "cpu": fields.text("cpu"),
        "cores": fields.count_or_none("cores"),
        "gpu": fields.text_or_none("gpu"),
        "threads": fields.count_or_none("threads"),
        **{key: fields.count(key) for key in ("rounds", "repeats") if key in fields.values},
        "versions": {key: versions.text(key) for key in versions.values},
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"results file {path} does not exist; make it with evaluate --json or bench -o") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{path.name} is not readable JSON: {first_line(error)}") from error
