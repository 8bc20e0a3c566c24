"""``finetune``: a dense or compressed checkpoint is trained on labels, or on what its dense model says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from fwsvd_export.architectures.embed import modules_of
from fwsvd_export.checkpoints.folder import record_of_weights, write_model
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.encode import encode_rows, load_batches, read_task_rows
from fwsvd_export.data.read_batches import ReadBatches
from fwsvd_export.data.rows import split_rows
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.metrics import evaluate_model, metric_of
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.export.identity import Identity
from fwsvd_export.runtime.environment import library_versions
from fwsvd_export.runtime.processes import is_main_process, processes
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import COMPRESSION_FILE, TRAINING_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.names import command_line
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.training.history import TrainingHistory
from fwsvd_export.training.made_from import made_from
from fwsvd_export.training.precision import settings_on
from fwsvd_export.training.record import TrainingRecord, history_fields
from fwsvd_export.training.settings import TrainingSettings
from fwsvd_export.training.state import training_state
from fwsvd_export.training.train import check_trainable, train
from fwsvd_export.workflows.finetune_request import FinetuneRequest
from fwsvd_export.workflows.source import Stopwatch, check_folder, load_source
from fwsvd_export.workflows.teacher import load_teacher
from fwsvd_export.workflows.write import write_compressed


@dataclass(frozen=True)
class _Run:
    """A request with everything that was read for it."""

    request: FinetuneRequest
    settings: TrainingSettings
    checkpoint: Checkpoint
    teacher: Checkpoint | None
    batches: ReadBatches
    validation: Any
    clock: Stopwatch


def run_finetune(request: FinetuneRequest, steps: Steps = silent) -> TrainingRecord:
    """Trains the model that comes in and writes the folder, with ``training.json`` in it.

    Of several processes (torchrun, accelerate) the first one writes.

    Raises:
        MissingExtraError: accelerate, or the metric's library, is not installed.
        CheckpointError, UnsupportedModelError, DataError: a model, or the data, that comes in.
        TrainingError: a teacher that does not fit, a precision that the device does not have, or what a killed run of
            something else left.
        OutputError: the folder exists, or the disk is full.
    """
    if is_main_process():
        check_folder(request.source, request.out, request.overwrite)
    metric_of(request.data.task)  # a task without one is refused before the long work
    run = _prepared(request)
    model, teacher = run.checkpoint, run.teacher
    origin = made_from(
        (model.sha256, " ".join(filter(None, (Identity.of(model).settings, modules_of(model.encoder.embed))))),
        None if teacher is None else teacher.sha256,
        run.batches,
        run.validation,
        run.settings,
        processes(),
    )

    def score(candidate: Any) -> float:
        return evaluate_model(candidate, run.validation, run.validation.task).value

    with training_state(request.state_folder, origin, anew=request.overwrite) as state:
        with run.clock.phase("training"):
            history = train(
                model.model,
                run.batches,
                run.settings,
                score=score,
                teacher=None if teacher is None else teacher.model,
                embed=model.encoder.embed,
                state=state,
                steps=steps,
            )
        record = _record_of(run, history)
        if is_main_process():
            _write(run, record)
    return record


def _prepared(request: FinetuneRequest) -> _Run:
    """Loads the models and the data, and refuses what does not go together."""
    clock = Stopwatch()
    with clock.phase("load"):
        checkpoint = load_source(request.source)
        check_trainable(checkpoint.encoder, request.settings)
        teacher = None if request.teacher is None else load_teacher(request.teacher, checkpoint)
        batches, validation = _data(request, checkpoint)
        if teacher is not None:
            validation = referred(validation, teacher.model)
    settings = settings_on(checkpoint.encoder.device, request.settings.resolved(teacher is not None))
    return _Run(request, settings, checkpoint, teacher, batches, validation, clock)


def _data(request: FinetuneRequest, checkpoint: Checkpoint) -> tuple[ReadBatches, Any]:
    """Training and validation batches; no text is in both."""
    tokenizer, encoder, data = load_tokenizer(checkpoint), checkpoint.encoder, request.data
    texts = data if request.reads_labels else data.without_labels()
    if request.validation is not None:
        batches = load_batches(texts, tokenizer, encoder)
        validation = load_batches(request.validation, tokenizer, encoder)
    else:
        chosen, rest = split_rows(read_task_rows(data), data)
        batches = encode_rows(chosen, replace(texts, max_samples=None), tokenizer, encoder)
        validation = encode_rows(rest, replace(data, max_samples=None), tokenizer, encoder)
        (batches.reading + validation.reading).warn()
    unseen = validation.without(batches.among(validation.token_ids))
    if unseen.examples == 0:
        raise DataError("all validation examples are also training examples; give other data with --validation")
    return batches, unseen


def _record_of(run: _Run, history: TrainingHistory) -> TrainingRecord:
    request, teacher = run.request, run.teacher
    measured = request.validation or request.data
    held_out = "" if request.validation is not None else " (rows held out)"
    return TrainingRecord(
        model=run.checkpoint.name,
        model_sha256=run.checkpoint.sha256,
        teacher=None if teacher is None else teacher.name,
        teacher_sha256=None if teacher is None else teacher.sha256,
        task=request.data.task.name,
        data=request.data.name,
        examples=run.batches.examples,
        validation=f"{measured.name}{held_out}",
        validation_examples=run.validation.examples,
        metric=metric_of(request.data.task),
        **history_fields(history),
        settings=run.settings,
        batch_size=request.data.batch_size,
        processes=processes(),
        seconds=run.clock.seconds,
        command=tuple(command_line(request.command)) if request.command else None,
        recipe=request.recipe,
        versions=library_versions(),
    )


def _write(run: _Run, record: TrainingRecord) -> None:
    """The folder: as ``compress`` writes it for a compressed model, a plain one for a dense model."""
    request, checkpoint = run.request, run.checkpoint
    dtype = checkpoint.declared_dtype if request.dtype == "auto" else getattr(torch, request.dtype)
    model, carried = checkpoint.model.cpu().to(dtype), checkpoint.carried
    if not (checkpoint.folder / COMPRESSION_FILE).is_file():
        with atomic_output(request.out, request.overwrite) as folder:
            write_model(model, folder, carried)
            write_json(folder / TRAINING_FILE, record.to_json())
        return
    done: dict[str, Any] = {"action": "finetune", "details": record.details, "training": record}
    write_compressed(model, request.out, record_of_weights(checkpoint.folder), carried, request.overwrite, **done)
