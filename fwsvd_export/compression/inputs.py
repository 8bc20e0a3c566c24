"""What a compression is made from, in one record that every stage reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.checks import check_statistics
from fwsvd_export.records import RankRequest, Statistics
from fwsvd_export.runtime.device import check_float64
from fwsvd_export.solvers.options import SolverOptions
from fwsvd_export.solvers.solver import ClosedForm, Iterative


@dataclass(frozen=True)
class Inputs:
    """A model, how it is to be compressed, and what is known of its task.

    Attributes:
        encoder: of the dense model.
        solver: a row of the solver table.
        options: of the solver.
        size: what was asked for.
        statistics: what the solver's norm is built from; None for a solver that needs none.
        calibration: batches that layers are reconstructed on; None for no reconstruction.
        texts: batches of the task, with labels or without; None where there are none.

    Raises:
        StatisticsError: the statistics lack what the solver needs, or belong to another model.
        FwsvdExportError: the model is on a device without double precision.
    """

    encoder: Encoder
    solver: ClosedForm | Iterative
    options: SolverOptions
    size: RankRequest
    statistics: Statistics | None = None
    calibration: Iterable[Mapping[str, Any]] | None = None
    texts: Iterable[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        check_float64(self.encoder.device)
        check_statistics(self.encoder, self.solver, self.statistics)


def calibration_of(
    batches: Iterable[Mapping[str, Any]] | None, statistics: Statistics | None
) -> Iterable[Mapping[str, Any]] | None:
    """Texts of the task: batches where they were given, else the sample of the statistics."""
    if batches is None and statistics is not None and statistics.sample is not None:
        return statistics.sample.batches()
    return batches
