"""Everything that ``compress`` can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fwsvd_export.checkpoints.record import RecordedRecipe
from fwsvd_export.compression.checks import can_reconstruct
from fwsvd_export.data.request import DataRequest
from fwsvd_export.evaluation.difference import CONFIDENCE
from fwsvd_export.evaluation.target import Target
from fwsvd_export.records import RankRequest
from fwsvd_export.solvers.table import solver_named

if TYPE_CHECKING:
    from fwsvd_export.workflows.refine import RefineRequest
    from fwsvd_export.workflows.source import Source


@dataclass(frozen=True)
class CompressRequest:
    """Everything ``compress`` was asked for; ``data`` or ``fisher`` may be None where the method allows it.

    With ``max_drop`` the budget in ``size`` is not looked at: the smallest model is searched whose metric on
    ``validation`` (or on rows of ``data`` that calibration leaves) is at most that far below the dense one's, with that
    ``confidence``. ``refine`` None does not refine. A folder ``report`` gets predicted and measured losses of every
    layer. ``labels`` None is "data" where statistics are collected, and whatever they were where they are given,
    and ``temperature`` likewise. ``reconstruct_samples`` is how many rows of the data layers are reconstructed on, None
    for those of the statistics.
    ``command`` is what was typed, and ``recipe`` the file of options that was used, for the record.
    """

    source: Source
    out: Path
    method: str
    size: RankRequest
    data: DataRequest | None = None
    fisher: Path | None = None
    labels: str | None = None
    temperature: float | None = None
    validation: DataRequest | None = None
    max_drop: float | None = None
    confidence: float = CONFIDENCE
    reconstruct: bool | None = None
    reconstruct_samples: int | None = None
    refine: RefineRequest | None = None
    report: Path | None = None
    solver_options: Mapping[str, str] = field(default_factory=dict)
    dtype: str = "auto"
    overwrite: bool = False
    command: tuple[str, ...] = ()
    recipe: RecordedRecipe | None = None

    @property
    def target(self) -> Target | None:
        """The accuracy target; raises as it does where it is not allowed."""
        return None if self.max_drop is None else Target(self.max_drop, self.confidence)

    @property
    def _refined_on_data(self) -> bool:
        return self.refine is not None and self.refine.data is None

    @property
    def needs_statistics(self) -> bool:
        """Whether the method looks at any."""
        return solver_named(self.method).needs is not None

    @property
    def uses_data(self) -> bool:
        """Whether anything is read from the data: for statistics, layers, validation or the report."""
        collects = self.fisher is None and self.needs_statistics
        reconstructs = self.reconstruct is not False and can_reconstruct(solver_named(self.method))
        validates = self.max_drop is not None and self.validation is None
        return collects or reconstructs or validates or self._refined_on_data or self.report is not None

    def used(self) -> CompressRequest:
        """The request without the data and the statistics that are not used."""
        return replace(
            self,
            data=self.data if self.uses_data else None,
            fisher=self.fisher if self.needs_statistics else None,
            labels=self.labels if self.needs_statistics else None,
            temperature=self.temperature if self.needs_statistics else None,
        )

    def unused(self) -> tuple[str, ...]:
        """A sentence for everything that was given and is not used: one command line may serve several methods."""
        without = f"method {self.method} needs no statistics"
        sentences = []
        if self.data is not None and not self.uses_data:
            option = "--dataset" if self.data.file is None else "--data"
            why = f"method {self.method} takes what it needs from --fisher" if self.needs_statistics else without
            sentences.append(f"{option} is not used: {why}, and no layer is reconstructed.")
        if self.fisher is not None and not self.needs_statistics:
            sentences.append(f"--fisher is not used: {without}.")
        for option, value in (("--labels", self.labels), ("--temperature", self.temperature)):
            if value is not None and not self.needs_statistics:
                sentences.append(f"{option} is not used: {without}.")
        return tuple(sentences)
