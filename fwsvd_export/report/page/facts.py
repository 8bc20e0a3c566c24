"""What is known from one folder: a record of facts per kind of folder, each of which knows its dense model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fwsvd_export.benchmark.result import BenchResult
    from fwsvd_export.checkpoints.record import CompressionRecord
    from fwsvd_export.export.record import ExportRecord
    from fwsvd_export.hub.card.measurements import Measurements
    from fwsvd_export.report.losses import RecordedLosses
    from fwsvd_export.sweep.result import SweepResult
    from fwsvd_export.training.record import TrainingRecord


@dataclass(frozen=True)
class Base:
    """The dense model that facts are about; without a digest nothing proves that two are the same."""

    name: str
    sha256: str | None


@dataclass(frozen=True)
class CheckpointFacts:
    """A compressed checkpoint.

    Attributes:
        label: the folder's name, as short as tells it from the others.
        record: its ``compression.json``.
        sha256: of its weights, as they are, or where there are none as they were recorded.
        changed: whether the weights are others than those that were recorded.
        measurements: of these weights and of the base.
        export: of ``onnx/``; None without it.
        training: how it was trained; None without ``training.json``.
    """

    label: str
    record: CompressionRecord
    sha256: str | None
    changed: bool
    measurements: Measurements
    export: ExportRecord | None = None
    training: TrainingRecord | None = None

    @property
    def base(self) -> Base:
        """The dense model it was made from."""
        return Base(self.record.base_model, self.record.base_digest)


@dataclass(frozen=True)
class LossFacts:
    """What ``compress --report`` measured."""

    label: str
    losses: RecordedLosses

    @property
    def base(self) -> Base:
        """The dense model whose layers were replaced."""
        return Base(self.losses.base_model or "", self.losses.base_sha256)


@dataclass(frozen=True)
class BenchFacts:
    """What ``bench`` measured, the dense model first."""

    label: str
    result: BenchResult

    @property
    def base(self) -> Base:
        """The first model."""
        dense = self.result.models[0]
        return Base(dense.model, dense.sha256)


@dataclass(frozen=True)
class SweepFacts:
    """What ``sweep`` measured."""

    label: str
    result: SweepResult

    @property
    def base(self) -> Base:
        """The dense model."""
        return Base(self.result.model, self.result.base_sha256)


Facts = CheckpointFacts | LossFacts | BenchFacts | SweepFacts
