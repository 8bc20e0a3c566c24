"""What ``evaluate --json`` prints: a task's metric of one model, and of which weights, on what data and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Number


@dataclass(frozen=True, kw_only=True)
class Evaluation(JsonRecord):
    """A measured metric.

    Attributes:
        model: as it was given.
        task: preset.
        metric: name of the main metric.
        value: its value.
        examples: how many it was measured on.
        runtime: what ran the model.
        seconds: wall time of the forward passes.
        beside: further metrics by name.
        data: name of the data, without folders.
        sha256: of the weights file; of several, of the list that ``sha256sum`` prints of them. None in results of
            earlier versions, which had no digest of several.
        environment: where.
        cut: examples that were cut at --max-length; None in results of earlier versions.
        skipped: rows that --on-bad-row left out; None in results of earlier versions.
        difference: from the model that it was compared with, which ran under torch; None without one.
    """

    model: str
    task: str
    metric: str
    value: Number
    examples: Count
    runtime: str
    seconds: Number | None = None
    beside: dict[str, Number] = field(default_factory=dict)
    data: str
    sha256: str | None
    environment: Environment
    cut: Count | None = None
    skipped: Count | None = None
    difference: Difference | None = None
    remedy = "measure again with this version's evaluate --json"

    def to_json(self) -> dict[str, Any]:
        """The JSON object; the further metrics stand in it by their own names too."""
        return {**super().to_json(), **{name: value for name, value in self.beside.items() if name not in _NAMES}}


_NAMES = frozenset(Evaluation.__dataclass_fields__)
