"""Digests of everything that the cells of a sweep are made from: what has the same digest is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.tasks import Task
from fwsvd_export.export.identity import Identity
from fwsvd_export.records import RankRequest
from fwsvd_export.solvers.options import SolverOptions, options_to_json
from fwsvd_export.sweep.grid import Cell

CELL_FORMAT = 1  # raised when the same request makes other numbers than before
RECONSTRUCTION_FORMAT = 2  # raised when only reconstruction makes other numbers; 2: pooler and head are fitted too
Parts = dict[str, Any]
"""What something was made from, as JSON values."""


def digest_of(parts: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of their names.

    Example:
        >>> digest_of({"a": 1, "b": (2, 3)}) == digest_of({"b": [2, 3], "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def rows_sha256(rows: Rows, task: Task) -> str:
    """Digest of what a task reads of some rows: the same in any kind of file, and in any other file with these rows.

    Args:
        rows: as they are used, in their order.
        task: names the columns.

    Raises:
        DataError: a column is not there.
    """
    digest = hashlib.sha256()
    for column in (task.text, task.text_pair, task.label):
        if column is None:
            continue
        cells = rows.column(column)
        names = rows.table.features[column]  # classes that the data knows by number
        digest.update(json.dumps([column, repr(names), len(cells)]).encode())
        for cell in cells:
            digest.update(json.dumps(cell, default=repr, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            digest.update(b"\n")
    if rows.judgements is not None:
        digest.update(json.dumps(rows.judgements, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class MadeFrom:
    """What the cells of one grid are made from; each method gives what one kind of thing depends on.

    Attributes:
        base: the dense model.
        data: which rows are used and how; ``max_samples`` and ``seed`` choose those of calibration.
        rows_sha256: of the rows that may be chosen.
        validation_sha256: of the rows that values are measured on, which are left out of all others.
        labels: source of the labels for statistics.
        temperature: of the predictions for statistics.
        size: limits of the ranks; its budget is not looked at.
        embedding: how the modules behind the dense model make an embedding; None where there are none.
    """

    base: Identity
    data: DataRequest
    rows_sha256: str
    validation_sha256: str
    labels: str
    temperature: float
    size: RankRequest
    embedding: str | None = None

    def model(self) -> Parts:
        """The dense model."""
        base = self.base
        return {
            "format": CELL_FORMAT,
            "class": base.class_name,
            "weights": base.weights_sha256,
            "settings": base.settings,
            # Left out where nothing is said, so that cells made before embeddings had modules are found
            **({} if self.embedding is None else {"embedding": self.embedding}),
        }

    def reading(self) -> Parts:
        """How rows become token ids and labels."""
        data = self.data
        return {
            "task": asdict(data.task),
            "max_length": data.max_length,
            "doc_stride": data.doc_stride,
            "on_bad_row": data.on_bad_row,
        }

    def calibration(self, seed: int) -> Parts:
        """The rows of a seed, and so the statistics on them."""
        return {
            **self.model(),
            **self.reading(),
            "rows": self.rows_sha256,
            "without": self.validation_sha256,
            "max_samples": self.data.max_samples,
            "seed": seed,
            "labels": self.labels,
            # Left out where it changes nothing, so that cells made before there were temperatures are found
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
        }

    def compressed(
        self, cell: Cell, options: SolverOptions, needs: str | None, *, reconstruct: bool, widths: str
    ) -> Parts:
        """A compressed model before any training; one that needs no statistics does not depend on data or seed."""
        size = self.size
        return {
            **(self.model() if needs is None else self.calibration(cell.seed)),
            "method": cell.method,
            "options": options_to_json(options),
            "reconstruct": RECONSTRUCTION_FORMAT if reconstruct else False,
            "budget": asdict(cell.budget),
            "allocate": size.allocate,
            "limits": asdict(size.limits),
            "embeddings": size.embeddings,
            "cost": size.cost,
            # Left out where nothing is removed, so that cells made before there were widths are found
            **({} if widths == "keep" else {"widths": widths}),
        }

    def trained(self, start: Parts, training: Parts, teacher: Identity | None, seed: int) -> Parts:
        """A model that was trained.

        Args:
            start: the compressed model.
            training: the settings, and how many rows.
            teacher: None for labels alone.
            seed: of the choice of rows, their order and dropout.
        """
        known = None if teacher is None else [teacher.class_name, teacher.weights_sha256, teacher.settings]
        rows = {"rows": self.rows_sha256, "without": self.validation_sha256, "batch_size": self.data.batch_size}
        return {**self.reading(), **rows, "start": start, "training": training, "teacher": known, "seed": seed}

    def measured(self, model: Parts, confidence: float) -> str:
        """The key of a cell: a model, measured on the validation rows, with an interval of a confidence."""
        validation = {**self.reading(), "validation": self.validation_sha256, "confidence": confidence}
        return digest_of({"model": model, **validation})
