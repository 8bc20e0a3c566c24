"""Everything that ``sweep`` can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fwsvd_export.checkpoints.record import RecordedRecipe
from fwsvd_export.compression.checks import can_reconstruct
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import SweepError, at_least
from fwsvd_export.evaluation.difference import CONFIDENCE, check_confidence
from fwsvd_export.evaluation.metrics import metric_of
from fwsvd_export.records import TEMPERATURE, Budget, RankRequest
from fwsvd_export.solvers.options import SolverOptions, options_from
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.sweep.grid import Cell, Grid
from fwsvd_export.training.precision import settings_on
from fwsvd_export.training.settings import TrainingSettings, check_learnable

if TYPE_CHECKING:
    from fwsvd_export.workflows.source import Source

_NO_LIMITS = RankRequest(Budget(ratio=1.0))
_DEFAULTS = TrainingSettings()


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """Everything ``sweep`` was asked for.

    Attributes:
        source: the dense model.
        out: the folder, new or of an earlier run.
        data: for calibration and training; ``max_samples`` rows of it for calibration, ``seed`` is not looked at.
        grid: which models.
        shard: (i, n) for the i-th of n shares of the grid.
        validation: what values are measured on; None for rows of ``data``, which are left out elsewhere.
        labels: source of the labels for statistics.
        temperature: of the predictions for statistics.
        size: limits of the ranks; its budget is not looked at.
        reconstruct: whether layers are reconstructed; None where the method can be.
        solver_options: method -> values by name.
        training: how models are trained, its seed is that of the cell.
        train_samples: rows at most for training, chosen by the seed; None for all.
        teacher: of the models that are distilled; None for the dense model itself.
        confidence: of the intervals.
        keep_models: keep every model as a folder.
        dtype: of the models that are kept.
        command: what was typed, for the record.
        recipe: the file of options that was used, for the record.

    Raises:
        DataError: the task has no metric, or the confidence is none.
        SweepError: options of a method that is not in the grid.
        TrainingError: labels are to be learned that no model predicts.
        SolverOptionError: an option that a method does not know.
    """

    source: Source
    out: Path
    data: DataRequest
    grid: Grid
    shard: tuple[int, int] = (1, 1)
    validation: DataRequest | None = None
    labels: str = "data"
    temperature: float = TEMPERATURE
    size: RankRequest = _NO_LIMITS
    reconstruct: bool | None = None
    solver_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    training: TrainingSettings = _DEFAULTS
    train_samples: int | None = None
    teacher: Source | None = None
    confidence: float = CONFIDENCE
    keep_models: bool = False
    dtype: str = "auto"
    command: tuple[str, ...] = ()
    recipe: RecordedRecipe | None = None

    def __post_init__(self) -> None:
        metric_of(self.data.task)
        check_confidence(self.confidence)
        if self.learns_labels:
            check_learnable(self.data.task)
        if self.train_samples is not None:
            at_least("train samples", self.train_samples)
        if others := [method for method in self.solver_options if method not in self.grid.methods]:
            raise SweepError(
                f"an option of {others[0]} is given, which is not among the methods {', '.join(self.grid.methods)}; "
                "leave it out, or name the method too"
            )
        for method in self.grid.methods:
            self.options_of(method)
        self.grid.share(*self.shard)

    def options_of(self, method: str) -> SolverOptions:
        """The options of a method; raises as the request."""
        return options_from(method, solver_named(method).options, self.solver_options.get(method, {}))

    def reconstructs(self, method: str) -> bool:
        """Whether layers are reconstructed after a method."""
        return self.reconstruct is not False and can_reconstruct(solver_named(method))

    @property
    def learns_labels(self) -> bool:
        """Whether any model of the grid is trained on labels."""
        return "finetuned" in self.grid.trainings or (self.trains and self.training.label_weight > 0)

    @property
    def trains(self) -> bool:
        """Whether any model of the grid is trained."""
        return self.grid.trainings != ("none",)

    def settings_of(self, cell: Cell, device: torch.device) -> TrainingSettings:
        """How a model is trained on a device, all values filled in."""
        settings = replace(self.training, seed=cell.seed).resolved(distilled=cell.training == "distilled")
        return settings_on(device, settings)
