"""``sweep``: the metric against the size, for many methods."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.choices import Numbers, Shard, SomeOf
from fwsvd_export.cli.compression_options import limit_options, size_limits
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    PATH,
    Options,
    confidence_option,
    data_and_validation,
    data_options,
    dtype_option,
    json_option,
    labels_option,
    source_of,
    source_options,
)
from fwsvd_export.cli.recipe import recipe_option, recorded_recipe
from fwsvd_export.cli.training_options import settings_of, training_options
from fwsvd_export.errors import at_least, shown
from fwsvd_export.evaluation.difference import CONFIDENCE
from fwsvd_export.records import Budget
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.sweep.result import TRAININGS, SweepResult, Training
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.workflows.sweep_request import SweepRequest

_PREFIX = "finetune"  # of the options of training


def parse_solver_options(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, dict[str, str]]:
    """METHOD:NAME=VALUE, by method; the methods' own records check names and values."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        method, colon, pair = text.partition(":")
        name, equals, value = pair.partition("=")
        if not (colon and equals) or method not in METHODS:
            raise click.BadParameter(
                f"{shown(text)}: METHOD:NAME=VALUE is allowed, for example fwsvd:axis=output", context, parameter
            )
        found.setdefault(method, {})[name.strip().replace("-", "_")] = value.strip()
    return found


@click.command(cls=Command)
@click.argument("model")
@source_options
@data_options
@labels_option
@option(
    Group.DATA,
    "--validation",
    type=PATH,
    show_default="rows of --data held out",
    help="File with the data that every model is measured on.",
)
@option(
    Group.SIZE,
    "--ratios",
    type=Numbers(whole=False),
    metavar="X,...",
    help="Fractions of the encoder's linear weights to keep at most.",
)
@option(Group.SIZE, "--ranks", type=Numbers(), metavar="N,...", help="Ranks of every layer, instead of --ratios.")
@limit_options
@option(
    Group.METHOD,
    "--methods",
    type=SomeOf(METHODS),
    metavar="METHOD,...",
    required=True,
    help=f"Methods of compression, any of {', '.join(METHODS)}.",
)
@option(
    Group.METHOD,
    "--reconstruct/--no-reconstruct",
    default=None,
    show_default="on for kfac",
    help="Layer-wise reconstruction: fit every layer again, on its own inputs, to the dense model's output.",
)
@option(
    Group.METHOD,
    "--solver-option",
    "solver_options",
    metavar="METHOD:NAME=VALUE",
    multiple=True,
    callback=parse_solver_options,
    help="Option of one of the methods, for example em:start=row; fwsvd-export methods --json lists them. Repeatable.",
)
@option(
    Group.METHOD,
    "--seeds",
    type=int,
    default=1,
    show_default=True,
    help="Number of repetitions with other calibration rows and another order of training, from --seed on.",
)
@option(
    Group.TRAINING,
    "--training",
    "trainings",
    type=SomeOf(TRAININGS),
    show_default="none; with --finetune-epochs also finetuned, with --teacher also distilled",
    help="Training after compression: on labels, by a teacher, or none.",
)
@option(
    Group.TRAINING,
    "--teacher",
    metavar="DENSE",
    show_default="MODEL",
    help="Dense model to distil from: compressed models learn its predictions and hidden states.",
)
@training_options(_PREFIX)
@option(
    Group.TRAINING,
    "--train-samples",
    type=int,
    show_default="all",
    help="Number of rows of --data to train on at most; the seed chooses them.",
)
@confidence_option(Group.MEASUREMENT, "of the intervals of the differences from the dense model")
@option(
    Group.OUTPUT,
    "-o",
    "--output",
    "out",
    type=PATH,
    required=True,
    help="Folder for the results; one that is there is continued or extended.",
)
@option(
    Group.OUTPUT,
    "--shard",
    type=Shard(),
    default=(1, 1),
    show_default="all",
    help="Share of the models: I, I + N, and so on of those asked for. All shards may have one folder.",
)
@option(Group.OUTPUT, "--keep-models", is_flag=True, help="Keep every model as a folder in models/.")
@dtype_option
@json_option
@recipe_option
def command(model: str, as_json: bool, **options: Any) -> None:
    """Compress MODEL by several methods to several sizes, train the results or not, and measure every one.

    Statistics are collected once and decompositions shared. Every model that is done is written to the folder: the
    same command continues a run that was killed, and one with more methods, sizes, trainings or seeds makes only what
    is missing. The folder gets results.json, the page report.html, a table in report.md and the picture sweep.png.

    \b
    Example:
      fwsvd-export sweep my-model -o sweep --task sst2 --data train.jsonl --validation validation.jsonl \\
        --max-samples 2048 --methods svd,fwsvd,kfac --ratios 0.5,0.25,0.1
    """
    request = sweep_request(model, options)
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, print_table
    from fwsvd_export.cli.sweep_progress import sweep_progress
    from fwsvd_export.report.sweep import sweep_table
    from fwsvd_export.workflows.sweep import run_sweep

    prepare_libraries()
    try:
        with sweep_progress() as watch:
            result = run_sweep(request, watch)
    except KeyboardInterrupt:
        hint(f"Models that are done stay in {request.out}: the same command makes the others.")
        raise
    if as_json:
        print_json(result.to_json())
    else:
        print_table(_title(result), *sweep_table(result))
    missing = result.planned - len(result.rows)
    if missing:
        hint(f"{missing} of {result.planned} models are still to be made, by other shards.")


def sweep_request(model: str, options: Options) -> SweepRequest:
    """Everything that was asked for.

    Raises:
        click.UsageError: options that do not go together.
        FwsvdExportError: a value that is not allowed.
    """
    trainings = _trainings(options)
    ratios, ranks = options.pop("ratios"), options.pop("ranks")
    if ratios and ranks:
        raise click.UsageError("--ratios and --ranks are given: give one of them")
    if not (ratios or ranks):
        raise click.UsageError("no sizes given: give --ratios or --ranks")
    sizes = tuple([Budget(ratio=ratio) for ratio in ratios or ()] + [Budget(rank=rank) for rank in ranks or ()])
    size, training = size_limits(options, sizes[0]), settings_of(options, _PREFIX)
    data, validation = data_and_validation(options)
    if data is None:
        raise click.UsageError("no data given: name a local file with --data or a data set on the Hub with --dataset")
    from fwsvd_export.sweep.grid import Grid
    from fwsvd_export.workflows.sweep_request import SweepRequest  # torch, which wrong usage does without

    seeds = range(data.seed, data.seed + at_least("seeds", options.pop("seeds")))
    confidence = options.pop("confidence")
    source, teacher = source_of(model, options), options.pop("teacher")
    return SweepRequest(
        source=source,
        data=data,
        validation=validation,
        grid=Grid(options.pop("methods"), sizes, trainings, tuple(seeds)),
        size=size,
        training=training,
        teacher=None if teacher is None else replace(source, model=teacher),
        confidence=CONFIDENCE if confidence is None else confidence,
        command=tuple(click.get_current_context().meta[TYPED]),
        recipe=recorded_recipe(),
        **options,
    )


def _trainings(options: Options) -> tuple[Training, ...]:
    """What --training says, taken out of ``options``, or else what the other options of training are for.

    Raises:
        click.UsageError: options of training, and no model that is trained.
    """
    asked, teacher = options.pop("trainings"), options["teacher"]
    if asked is None:
        trained = "distilled" if teacher is not None else "finetuned"
        asked = ("none", trained) if teacher is not None or options[f"{_PREFIX}_epochs"] is not None else ("none",)
    chosen = tuple(training for training in TRAININGS if training in asked)
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
        of_training = getattr(parameter, "group", None) is Group.TRAINING and parameter.name != "trainings"
        if given and of_training and chosen == ("none",):
            raise click.UsageError(
                f"{parameter.opts[0]} is for models that are trained, and none is: name a training with --training "
                f"({', '.join(TRAININGS[1:])})"
            )
    if teacher is not None and "distilled" not in chosen:
        raise click.UsageError("--teacher is for models that are distilled; name distilled in --training, too")
    return chosen


def _title(result: SweepResult) -> str:
    examples = counted(result.rows[0].examples, "example") if result.rows else "examples"
    return f"{result.model}, {result.metric} of {examples} of {result.validation}; dense: {result.dense.value:.4f}"
