"""``sweep``: methods, sizes, trainings and seeds, every model measured, what is done kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import read_tokenizer
from fwsvd_export.compression.checks import reconstructs
from fwsvd_export.compression.size import check_size
from fwsvd_export.errors import RankError
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.report.figures import check_figures
from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.render import plotly_script
from fwsvd_export.report.page.write import write_page
from fwsvd_export.report.sweep import write_sweep
from fwsvd_export.runtime.environment import machine
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.storage.file_names import REPORT_FILE
from fwsvd_export.storage.names import command_line
from fwsvd_export.sweep.grid import Cell, size_name
from fwsvd_export.sweep.result import SweepDense, SweepResult, SweepRow
from fwsvd_export.sweep.store import SweepStore, check_folder
from fwsvd_export.sweep.watch import Unwatched, Watch
from fwsvd_export.workflows.source import Stopwatch, load_dense
from fwsvd_export.workflows.sweep_data import SweepData
from fwsvd_export.workflows.sweep_keys import SweepKeys
from fwsvd_export.workflows.sweep_models import Made, Sources, SweepModels
from fwsvd_export.workflows.sweep_request import SweepRequest
from fwsvd_export.workflows.sweep_statistics import SweepStatistics
from fwsvd_export.workflows.teacher import load_teacher


def run_sweep(request: SweepRequest, watch: Watch | None = None) -> SweepResult:
    """Makes and measures every model of the grid, or of this process's share, that is not there yet.

    Every cell is written when it is done, and with it the result of all cells that are there; the picture and the pages
    are written at the end, also at that of a run that is interrupted.

    Args:
        request: what to do.
        watch: is told of every cell.

    Raises:
        SweepError: the folder holds the sweep of something else.
        OutputError: it holds other files.
        MissingExtraError: matplotlib or plotly is not installed.
        FwsvdExportError: a model, data or options that do not go together; before any long work.
    """
    check_folder(request.out)
    check_figures()
    plotly_script()
    sweep = _Sweep(request, Unwatched() if watch is None else watch)
    try:
        sweep.work()
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            sweep.finish()
        raise
    return sweep.finish()


class _Sweep:
    """A sweep whose model and data are loaded."""

    def __init__(self, request: SweepRequest, watch: Watch) -> None:
        self._request = request
        self._watch = watch
        self._clock = Stopwatch()
        self._counted: dict[str, float] = {}
        self._rows: dict[str, SweepRow] = {}  # by key, as read from their files, which do not change
        with self._clock.phase("load"):
            dense = load_dense(request.source)
            if dense.has_tokenizer:  # one that cannot be carried over fails here, before the long work
                read_tokenizer(dense.folder, dense.model.config)
            _check(request, dense)
            teacher = dense if request.teacher is None else load_teacher(request.teacher, dense)
            data = SweepData.of(request, dense)
            self._sources = Sources(dense, teacher, data)
            keys = SweepKeys.of(request, dense, teacher, data)
            self._store = SweepStore(request.out, keys.subject(data.validation_name))
        self._keys = {cell: keys.cell(cell) for cell in request.grid.cells}
        self._starts = {cell: keys.start(cell) for cell in request.grid.cells}
        statistics = SweepStatistics(dense, data, request.labels, request.temperature, watch.steps)
        self._models = SweepModels(request, self._sources, statistics, self._store, keys, self._clock, watch.steps)
        with self._clock.phase("evaluate"):
            found = self._scored(dense.model, "dense")
        self._dense = replace(found, measurement=replace(found.measurement, sha256=dense.sha256))
        warn_below_chance(self._dense.measurement, data.validation.task, dense.model.config)

    def work(self) -> None:
        """Makes what is missing of this process's share."""
        share = self._request.grid.share(*self._request.shard)
        self._watch.planned(self._request.grid, self._dense_row(), self._done())
        later = [cell for cell in _in_order(share) if self._missing(cell) and not self._make(cell, wait=False)]
        for cell in later:  # which other processes were making
            self._make(cell, wait=True)

    def finish(self) -> SweepResult:
        """Writes the result of all cells that are there, the picture and the pages."""
        result, folder = self._write_result(), self._store.folder
        write_sweep(folder, result)
        write_page(build_page([folder]), folder / REPORT_FILE, overwrite=True)
        self._store.tidy()
        return result

    def _make(self, cell: Cell, wait: bool) -> bool:
        """Makes a cell; False where another process is at it, and ``wait`` is False."""
        with self._store.claimed(self._keys[cell], wait) as work:
            if work is None:
                return False
            if self._missing(cell):
                self._watch.began(cell)
                with self._models.made(cell, work, self._collections(cell.seed)) as made:
                    self._save(cell, made)
        for other, key in self._keys.items():
            if key == self._keys[cell]:  # a model that does not depend on the seed stands for all of them
                self._watch.ended(other, self._row(other))
        self._forget_start(cell)
        self._write_result()
        return True

    def _save(self, cell: Cell, made: Made) -> None:
        """Measures a model, and writes its cell."""
        with self._clock.phase("evaluate"):
            measured = self._scored(made.model, str(cell))
            against, confidence = self._request.source.model, self._request.confidence
            difference = paired_difference(measured, self._dense, against=against, confidence=confidence)
        if self._request.keep_models:
            self._models.keep(made, self._store.model(self._model_name(cell)))
        record, measurement = made.record, measured.measurement
        self._store.save(
            SweepRow(
                method=cell.method,
                ratio=cell.budget.ratio,
                rank=cell.budget.rank,
                seed=cell.seed,
                finetuned=cell.training != "none",
                training=cell.training,
                metric=measurement.metric,
                value=measurement.value,
                examples=measurement.examples,
                difference=difference,
                parameters=record.parameters.total_compressed,
                linear_ratio=record.parameters.ratio,
                predicted_loss=sum(layer.predicted_loss for layer in record.layers),
                ranks={layer.name: layer.rank for layer in record.layers},
                seconds=round(made.seconds + measurement.seconds, 3),
                key=self._keys[cell],
            )
        )

    def _scored(self, model: object, what: str) -> Scored:
        validation = self._sources.data.validation
        return scored(model, validation, validation.task, self._watch.steps, f"evaluating {what}")

    def _missing(self, cell: Cell) -> bool:
        """Whether a cell, or the folder of its model where one is wanted, is not there."""
        kept = not self._request.keep_models or self._store.model(self._model_name(cell)).is_dir()
        return not (kept and self._store.has(self._keys[cell]))

    def _model_name(self, cell: Cell) -> str:
        size, dtype = cell.size.replace(" ", "-"), self._request.dtype
        kind = "" if dtype == "auto" else f"-{dtype}"
        return f"{cell.method}-{size}-{cell.training}-seed-{cell.seed}{kind}-{self._keys[cell][:8]}"

    def _collections(self, seed: int) -> set[str]:
        """The statistics that cells of a seed which are not there need, whoever makes them."""
        cells = [cell for cell in self._request.grid.cells if cell.seed == seed and self._missing(cell)]
        return {needs for cell in cells if (needs := solver_named(cell.method).needs) is not None}

    def _forget_start(self, cell: Cell) -> None:
        """Removes the model that some cells begin with, when none of them is missing."""
        cells = [other for other, start in self._starts.items() if start == self._starts[cell]]
        if self._request.trains and not any(map(self._missing, cells)):
            self._models.forget_start(cell.start)

    def _done(self) -> dict[Cell, SweepRow]:
        """The cells of the whole grid that are there."""
        return {cell: self._row(cell) for cell, key in self._keys.items() if self._store.has(key)}

    def _row(self, cell: Cell) -> SweepRow:
        """A cell that is there; one that does not depend on the seed was made for another one."""
        key = self._keys[cell]
        if key not in self._rows:
            self._rows[key] = self._store.row(key)
        return replace(self._rows[key], seed=cell.seed)

    def _dense_row(self) -> SweepDense:
        encoder = self._sources.dense.encoder
        weights = sum(layer.weights for layer in encoder.layers)
        return SweepDense(
            value=self._dense.measurement.value,
            parameters=total_parameters(encoder.model),
            linear_weights=weights,
        )

    def _write_result(self) -> SweepResult:
        request, dense, data = self._request, self._sources.dense, self._sources.data
        result = SweepResult(
            model=request.source.model,
            base_sha256=dense.sha256,
            task=request.data.task.name,
            data=request.data.name,
            validation=data.validation_name,
            metric=self._dense.measurement.metric,
            dense=self._dense_row(),
            rows=tuple(self._done().values()),
            planned=len(self._keys),
            command=tuple(command_line(request.command)) if request.command else None,
            recipe=request.recipe,
            environment=machine(torch.get_num_threads(), device=dense.encoder.device),
        )
        now = dict(self._clock.seconds)
        more = {name: seconds - self._counted.get(name, 0) for name, seconds in now.items()}
        self._counted = now
        return self._store.write_result(result, more)


def _in_order(cells: Sequence[Cell]) -> Iterator[Cell]:
    """The order of the work: what shares statistics, then what shares decompositions, then what shares a start."""
    order = {cell: place for place, cell in enumerate(cells)}
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    methods = list(dict.fromkeys(cell.method for cell in cells))
    return iter(sorted(cells, key=lambda cell: (seeds.index(cell.seed), methods.index(cell.method), order[cell])))


def _check(request: SweepRequest, dense: Checkpoint) -> None:
    """Refuses, before the long work, what a cell would fail on."""
    if request.trains:
        from fwsvd_export.training.train import check_trainable  # transformers' Trainer, which takes seconds

        check_trainable(dense.encoder, request.training)
    for method in request.grid.methods:
        solver = solver_named(method)
        reconstructs(solver, request.reconstruct, True)
        for budget in request.grid.sizes:
            try:
                check_size(dense.encoder, solver, replace(request.size, budget=budget))
            except RankError as error:
                raise RankError(f"{size_name(budget.ratio, budget.rank)}: {error}") from error
