"""The models of a sweep: statistics and decompositions are shared, and what training begins with is made once."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.load import Checkpoint, load_checkpoint
from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.prepare import Prepared, compress_model, prepare
from fwsvd_export.compression.record import record_of
from fwsvd_export.evaluation.metrics import evaluate_model, metric_of
from fwsvd_export.runtime.device import release_freed_memory
from fwsvd_export.runtime.environment import machine
from fwsvd_export.runtime.progress import Steps
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.storage.locks import exclusive
from fwsvd_export.storage.names import command_line
from fwsvd_export.sweep.grid import Cell
from fwsvd_export.sweep.store import SweepStore
from fwsvd_export.training.record import TrainingRecord, history_fields
from fwsvd_export.training.state import TrainingState, training_state
from fwsvd_export.workflows.base import with_base
from fwsvd_export.workflows.source import Stopwatch
from fwsvd_export.workflows.sweep_keys import SweepKeys
from fwsvd_export.workflows.sweep_request import SweepRequest
from fwsvd_export.workflows.write import write_compressed

if TYPE_CHECKING:
    from fwsvd_export.data.batches import Batches
    from fwsvd_export.workflows.sweep_data import SweepData
    from fwsvd_export.workflows.sweep_statistics import SweepStatistics


@dataclass(frozen=True)
class Made:
    """A model of a cell.

    Attributes:
        model: in evaluation mode.
        record: how it was compressed.
        seconds: that it took, shared work left out.
        sha256: of its weights file, where it was read from one.
        training: how it was trained; None when it was not.
    """

    model: Any
    record: CompressionRecord
    seconds: float
    sha256: str | None = None
    training: TrainingRecord | None = None


@dataclass(frozen=True)
class Sources:
    """What a sweep reads.

    Attributes:
        dense: the model.
        teacher: of models that are distilled.
        data: the rows.
    """

    dense: Checkpoint
    teacher: Checkpoint
    data: SweepData


class SweepModels:
    """Makes the models of a sweep, one after the other.

    Args:
        request: what was asked for.
        sources: what is read.
        statistics: on the rows of every seed.
        store: the folder.
        keys: digests of what is made.
        clock: seconds by phase.
        steps: progress.
    """

    def __init__(
        self,
        request: SweepRequest,
        sources: Sources,
        statistics: SweepStatistics,
        store: SweepStore,
        keys: SweepKeys,
        clock: Stopwatch,
        steps: Steps,
    ) -> None:
        self._request = request
        self._sources = sources
        self._store = store
        self._keys = keys
        self._clock = clock
        self._steps = steps
        self._statistics = statistics
        self._shared: tuple[tuple[str, int], Inputs] | None = None
        self._prepared: Prepared | None = None
        self._training: tuple[int, tuple[Batches, Batches]] | None = None  # of the seed that was the last

    @contextmanager
    def made(self, cell: Cell, work: Path, others: Iterable[str]) -> Iterator[Made]:
        """The model of a cell; what a killed run goes on from is removed when the block ends without an error.

        Args:
            cell: which.
            work: where a run that is killed leaves what it goes on from.
            others: collections of statistics that later cells of the seed need, too.
        """
        start = self._start(cell.start, others)
        if cell.training == "none":
            yield start
            return
        origin = {"cell": self._keys.cell(cell), **{name: version(name) for name in ("torch", "transformers")}}
        with training_state(work / "training", origin, anew=True) as state:
            yield self._trained(cell, start, state)

    def keep(self, made: Made, place: Path) -> None:
        """Writes the folder of a model."""
        request, dense = self._request, self._sources.dense
        dtype = dense.declared_dtype if request.dtype == "auto" else getattr(torch, request.dtype)
        self._write(made, place, dtype)

    def forget_start(self, cell: Cell) -> None:
        """Removes what the training of some cells began with, as all of them are done."""
        shutil.rmtree(self._store.start(self._keys.start(cell)), ignore_errors=True)

    def _start(self, cell: Cell, others: Iterable[str]) -> Made:
        """The compressed model; where models are trained from it, from its folder, which the first one writes."""
        if not self._request.trains:
            return self._compressed(cell, others)
        folder = self._store.start(self._keys.start(cell))
        place = folder / "model"
        with exclusive(folder):
            if not place.is_dir():
                self._write(self._compressed(cell, others), place, torch.float32)
            start, record = load_checkpoint(str(place)), read_compression(place)
        model = start.model.to(self._sources.dense.encoder.device)
        return Made(model, record, record.seconds["compress"], start.sha256)

    def _compressed(self, cell: Cell, others: Iterable[str]) -> Made:
        shared = self._inputs_of(cell, others)
        inputs = replace(shared, size=replace(shared.size, budget=cell.budget))
        begin = time.perf_counter()
        with self._clock.phase("compress"):
            if self._prepared is None:
                compressed = compress_model(inputs, self._steps)
            else:
                compressed = self._prepared.at(cell.budget, self._steps)
        seconds = time.perf_counter() - begin
        release_freed_memory()
        dense, request = self._sources.dense, self._request
        record = with_base(record_of(inputs, compressed.report, dense.name), dense)
        command = tuple(command_line(request.command)) if request.command else None
        recorded = replace(record, command=command, recipe=request.recipe, seconds={"compress": round(seconds, 3)})
        return Made(compressed.model, recorded, seconds)

    def _inputs_of(self, cell: Cell, others: Iterable[str]) -> Inputs:
        """What all sizes of a method share; of a closed form its decompositions."""
        key = cell.method, cell.seed
        if self._shared is not None and self._shared[0] == key:
            return self._shared[1]
        self._shared = self._prepared = None  # before the next ones need the memory
        release_freed_memory()
        request, sources = self._request, self._sources
        solver, encoder = solver_named(cell.method), sources.dense.encoder
        statistics = calibration = None
        if solver.needs is not None:
            with self._clock.phase("statistics"):
                folder = self._store.statistics(self._keys.statistics(cell.seed))
                statistics = self._statistics.of(cell.seed, folder, solver.needs, others)
                calibration = self._statistics.calibration(cell.seed)
        fitted_on = calibration if request.reconstructs(cell.method) else None
        options, size = request.options_of(cell.method), replace(request.size, budget=cell.budget)
        inputs = Inputs(encoder, solver, options, size, statistics, fitted_on, calibration)
        if isinstance(solver, ClosedForm):
            with self._clock.phase("decompose"):
                self._prepared = prepare(inputs, self._steps)
        self._shared = key, inputs
        return inputs

    def _trained(self, cell: Cell, start: Made, state: TrainingState) -> Made:
        """The model of a start after training."""
        from fwsvd_export.training.train import train  # transformers' Trainer, which takes seconds

        request, data = self._request, self._sources.data
        teacher = self._sources.teacher if cell.training == "distilled" else None
        begin = time.perf_counter()
        settings = request.settings_of(cell, start.model.device)
        with self._clock.phase("train"):
            if self._training is None or self._training[0] != cell.seed:
                self._training = cell.seed, data.training(cell.seed, request.train_samples, request.learns_labels)
            batches, selection = self._training[1]

            def score(model: Any) -> float:
                return evaluate_model(model, selection, selection.task).value

            history = train(
                start.model,
                batches,
                settings,
                score=score,
                teacher=None if teacher is None else teacher.model,
                embed=self._sources.dense.encoder.embed,
                state=state,
                steps=self._steps,
            )
        seconds = time.perf_counter() - begin
        training = TrainingRecord(
            model=f"{self._sources.dense.name} ({cell.start})",
            model_sha256=str(start.sha256),
            teacher=None if teacher is None else teacher.name,
            teacher_sha256=None if teacher is None else teacher.sha256,
            task=request.data.task.name,
            data=request.data.name,
            examples=batches.examples,
            validation=f"{request.data.name} (rows held out)",
            validation_examples=selection.examples,
            metric=metric_of(request.data.task),
            **history_fields(history),
            settings=settings,
            batch_size=request.data.batch_size,
            seconds={"training": round(seconds, 3)},
            command=start.record.command,
            recipe=request.recipe,
            versions=machine(None).versions,
        )
        return replace(start, seconds=seconds, training=training)

    def _write(self, made: Made, place: Path, dtype: torch.dtype) -> None:
        model, training = copy.deepcopy(made.model).cpu().to(dtype), made.training
        write_compressed(
            model,
            place,
            made.record,
            self._sources.dense.carried,
            overwrite=True,
            action="compress" if training is None else "finetune",
            details=None if training is None else training.details,
            training=training,
        )
