"""``results.json`` of ``sweep``: the metric of many compressed models of one dense one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fwsvd_export.checkpoints.record import RecordedRecipe
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.storage.schema import Count, Line, Number, Words

SWEEP_FORMAT = 1

Training = Literal["none", "finetuned", "distilled"]
TRAININGS: tuple[Training, ...] = ("none", "finetuned", "distilled")


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """One compressed model.

    Attributes:
        method: name from the solver table.
        ratio: that was asked for; None where a rank was.
        rank: that was asked for; None where a ratio was.
        seed: of the calibration rows, and of training.
        finetuned: whether it was trained after compression, with a teacher or without.
        training: "none", "finetuned" (on labels) or "distilled" (from the dense model).
        metric: name of the task's metric.
        value: on the validation rows.
        examples: that the value was measured on.
        difference: against the dense model.
        parameters: of the whole model.
        linear_ratio: fraction of the encoder's linear weights that it really uses.
        predicted_loss: sum over the layers, in the unit of the method; before reconstruction and training.
        ranks: layer -> rank; None for a layer that is dense.
        seconds: wall time of making it, shared work left out.
        key: digest of everything that it was made from.
    """

    method: Line
    ratio: Number | None
    rank: Count | None
    seed: Count
    finetuned: bool
    training: Training
    metric: Line
    value: Number
    examples: Count
    difference: Difference | None = None
    parameters: Count
    linear_ratio: Number
    predicted_loss: Number | None = None
    ranks: dict[str, Count | None] = field(default_factory=dict)
    seconds: Number
    key: Line


@dataclass(frozen=True, kw_only=True)
class SweepDense:
    """The dense model on the same validation rows."""

    value: Number
    parameters: Count
    linear_weights: Count


@dataclass(frozen=True, kw_only=True)
class SweepResult(JsonRecord):
    """All cells that are done.

    Attributes:
        model: the dense model, as it was given.
        base_sha256: of its weights, as ``evaluate`` gives it.
        task: preset.
        data: name of the calibration and training data, without folders.
        validation: name of the data that values were measured on.
        metric: name of the task's metric.
        dense: the dense model's row.
        rows: of the cells that are done, in the order of the grid.
        planned: cells of the whole grid.
        seconds: wall time by phase, over all runs of the sweep.
        command: what was typed last.
        recipe: the file of options that was given last, None without one.
        environment: where.
    """

    format: Count = SWEEP_FORMAT
    model: Line
    base_sha256: Line | None
    task: Line
    data: Line
    validation: Line
    metric: Line
    dense: SweepDense
    rows: tuple[SweepRow, ...]
    planned: Count
    seconds: dict[str, Number] = field(default_factory=dict)
    command: Words | None = None
    recipe: RecordedRecipe | None = None
    environment: Environment
    remedy = "run the sweep again with this version; cells that are done are not computed again"
    newest_format = SWEEP_FORMAT
