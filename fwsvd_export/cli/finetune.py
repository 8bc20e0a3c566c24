"""``finetune``: a dense or compressed model is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    PATH,
    Options,
    data_and_validation,
    data_options,
    dtype_option,
    json_option,
    overwrite_option,
    source_of,
    source_options,
)
from fwsvd_export.cli.recipe import recipe_option, recorded_recipe
from fwsvd_export.cli.training_options import settings_of, training_options
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.training.record import TrainingRecord
    from fwsvd_export.workflows.finetune_request import FinetuneRequest


def finetune_request(model: str, out: Path, options: Options) -> FinetuneRequest:
    """Everything that was asked for.

    Raises:
        click.UsageError: no data.
        FwsvdExportError: a value that is not allowed.
    """
    from fwsvd_export.workflows.finetune_request import FinetuneRequest  # torch, which wrong usage does without

    settings = settings_of(options)
    data, validation = data_and_validation(options)
    if data is None:
        raise click.UsageError("no data given: name a local file with --data or a data set on the Hub with --dataset")
    source, teacher = source_of(model, options), options.pop("teacher")
    typed = tuple(click.get_current_context().meta[TYPED])
    taught_by = None if teacher is None else replace(source, model=teacher)
    return FinetuneRequest(
        source, out, data, validation, taught_by, settings, command=typed, recipe=recorded_recipe(), **options
    )


@click.command(cls=Command)
@click.argument("model")
@click.argument("out", type=PATH)
@source_options
@data_options
@option(
    Group.DATA,
    "--validation",
    type=PATH,
    show_default="rows of --data held out",
    help="File with the data that the best weights are chosen on.",
)
@option(
    Group.TRAINING,
    "--teacher",
    metavar="DENSE",
    help="Dense model to distil from: MODEL learns its predictions and hidden states, and needs no labels.",
)
@training_options()
@dtype_option
@overwrite_option
@json_option
@recipe_option
def command(model: str, out: Path, as_json: bool, **options: Any) -> None:
    """Train MODEL, dense or compressed, and write it into the folder OUT.

    The weights that are kept are the best by the task's metric on rows that it is not trained on, those of the start
    included: it never ends worse there than it began. A run that was killed goes on when the same command is given
    again. In several processes, one per GPU, or on a CPU with --device cpu:
    accelerate launch --multi_gpu --num_processes 2 -m fwsvd_export finetune …

    \b
    Example:
      fwsvd-export finetune my-model-small my-model-better --teacher my-model --task sst2 --data train.jsonl
    """
    request = finetune_request(model, out, options)
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, steps
    from fwsvd_export.runtime.processes import is_main_process
    from fwsvd_export.runtime.progress import silent
    from fwsvd_export.workflows.finetune import run_finetune

    prepare_libraries()
    record = run_finetune(request, steps() if is_main_process() else silent)
    if not is_main_process():
        return
    if as_json:
        print_json({"output": str(out), **record.to_json()})
    else:
        _print_summary(out, record)
    if record.best_step == 0:
        hint(
            f"No step was better than the start on {record.validation}: the weights are the model's own. Try a lower "
            "--lr, more data or --teacher."
        )


def _print_summary(out: Path, record: TrainingRecord) -> None:
    from fwsvd_export.cli.console import print_table

    taught = "the data's labels" if record.teacher is None else record.teacher
    rows = [
        ["trained on", f"{counted(record.examples, 'example')} of {record.data}, {taught}"],
        ["epochs", f"{record.settings.epochs:g}, learning rate {record.settings.learning_rate:g}"],
        ["chosen on", f"{counted(record.validation_examples, 'example')} of {record.validation}"],
        [f"{record.metric} at the start", f"{record.start:.4f}"],
        [f"{record.metric} at the best step", f"{record.best:.4f} (step {record.best_step:,} of {record.planned:,})"],
        ["seconds", ", ".join(f"{name} {value:.1f}" for name, value in record.seconds.items())],
    ]
    print_table(f"{out}", ["what", "value"], rows)
