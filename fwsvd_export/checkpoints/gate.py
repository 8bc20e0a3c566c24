"""An accuracy target in ``compression.json``: what was asked for, what was tried, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.storage.schema import Count, Line, Number, to_builtins


@dataclass(frozen=True)
class RecordedDeployment:
    """An exported graph under a runtime.

    Attributes:
        runtime: that ran it.
        embeddings: share of the word embeddings' weights; 1 where they are as they were.
        widths: "auto" or "keep".
        file_bytes: of what the runtime reads.
        speedup: over the dense model in float under onnxruntime, of one text.
    """

    runtime: Line
    embeddings: Number
    widths: Line
    file_bytes: Count
    speedup: Number


@dataclass(frozen=True)
class RecordedTrial:
    """One size that ``--max-drop`` tried.

    ``low`` and ``high`` are the ends of the interval of its difference from the dense model's metric; None in files of
    earlier versions, where the value alone decided. ``deployment`` is None but with ``--for``.
    """

    ratio: Number
    value: Number
    kept: bool
    low: Number | None = None
    high: Number | None = None
    deployment: RecordedDeployment | None = None


@dataclass(frozen=True)
class Gate:
    """What ``--max-drop`` asked for, tried and reached; ``confidence`` is None where the values alone decided.

    ``goal`` is what ``--for`` asked to be small, and ``chosen`` the place of the trial that is in the folder; both are
    None without it.
    """

    max_drop: Number
    metric: Line
    dense: Number
    validation: Line
    validation_examples: Count
    kept: bool
    trials: tuple[RecordedTrial, ...] = ()
    confidence: Number | None = None
    goal: Line | None = None
    chosen: Count | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record; what belongs to ``--for`` is left out without it."""
        content: dict[str, Any] = to_builtins(self)
        if self.goal is None:
            del content["goal"], content["chosen"]
            for trial in content["trials"]:
                del trial["deployment"]
        return content
