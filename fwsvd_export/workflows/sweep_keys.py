"""What every model of a sweep depends on, as digests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from fwsvd_export.architectures.embed import modules_of
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.compression.checks import widths_of
from fwsvd_export.export.identity import Identity
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.sweep.grid import Cell
from fwsvd_export.sweep.keys import MadeFrom, Parts, digest_of
from fwsvd_export.sweep.store import Subject
from fwsvd_export.workflows.sweep_request import SweepRequest

if TYPE_CHECKING:
    from fwsvd_export.workflows.sweep_data import SweepData


@dataclass(frozen=True)
class SweepKeys:
    """The digests of one sweep.

    Attributes:
        request: what was asked for.
        made_from: what all models are made from.
        teacher: of the models that are distilled.
        encoder: of the dense model, on the device that models are trained on, which chooses the precision.
    """

    request: SweepRequest
    made_from: MadeFrom
    teacher: Identity
    encoder: Encoder

    @classmethod
    def of(cls, request: SweepRequest, dense: Checkpoint, teacher: Checkpoint, data: SweepData) -> SweepKeys:
        """Of a sweep whose models and rows are loaded."""
        base, rows = Identity.of(dense), (data.rows_sha256, data.validation_sha256)
        modules = modules_of(dense.encoder.embed)
        made_from = MadeFrom(base, request.data, *rows, request.labels, request.temperature, request.size, modules)
        taught_by = base if teacher is dense else Identity.of(teacher)
        return cls(request, made_from, taught_by, dense.encoder)

    def subject(self, validation: str) -> Subject:
        """What the folder of the sweep is for."""
        made_from, data = self.made_from, self.request.data
        return Subject(
            model=made_from.base.model,
            base=digest_of(made_from.model()),
            task=data.task.name,
            reading=digest_of(made_from.reading()),
            data=data.name,
            rows=made_from.rows_sha256,
            validation=validation,
            held_out=made_from.validation_sha256,
        )

    def statistics(self, seed: int) -> str:
        """Of the rows of a seed."""
        return digest_of(self.made_from.calibration(seed))

    def start(self, cell: Cell) -> str:
        """Of the compressed model that a cell begins with."""
        return digest_of(self._start(cell))

    def cell(self, cell: Cell) -> str:
        """Of a cell."""
        model = self._start(cell) if cell.training == "none" else self.trained(cell)
        return self.made_from.measured(model, self.request.confidence)

    def trained(self, cell: Cell) -> Parts:
        """What a model that is trained is made from."""
        settings = asdict(self.request.settings_of(cell, self.encoder.device))
        training = {**settings, "samples": self.request.train_samples}
        teacher = self.teacher if cell.training == "distilled" else None
        return self.made_from.trained(self._start(cell), training, teacher, cell.seed)

    def _start(self, cell: Cell) -> Parts:
        request, method, solver = self.request, cell.method, solver_named(cell.method)
        return self.made_from.compressed(
            cell.start,
            request.options_of(method),
            solver.needs,
            reconstruct=request.reconstructs(method),
            widths=widths_of(self.encoder, solver, replace(request.size, budget=cell.budget)),
        )
