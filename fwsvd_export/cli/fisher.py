"""``fisher``: collect statistics once, for many compressions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fwsvd_export.cli.choices import Shard, SomeOf
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    PATH,
    data_options,
    json_option,
    labels_option,
    overwrite_option,
    required_data,
    source_of,
    source_options,
)
from fwsvd_export.records import COLLECTIONS

if TYPE_CHECKING:
    from fwsvd_export.records import Statistics


_OF_MERGING = {"model", "merge", "out", "overwrite", "as_json", "verbose", "quiet"}


@click.command(cls=Command)
@click.argument("model", metavar="MODEL | --merge FILE...", nargs=-1)
@source_options
@data_options
@option(
    Group.DATA,
    "--shard",
    type=Shard(),
    default=(1, 1),
    show_default="all",
    help="Share of the rows: rows I, I + N, and so on of those chosen; --merge adds the shards up.",
)
@labels_option
@option(
    Group.METHOD,
    "--collect",
    type=SomeOf(COLLECTIONS),
    default="kfac,row",
    show_default=True,
    help="Statistics to collect: kfac for kfac and activation, row for fwsvd, element for the iterative methods.",
)
@option(
    Group.OUTPUT, "-o", "--output", "out", type=PATH, required=True, help="File to write, which ends in .safetensors."
)
@option(
    Group.OUTPUT,
    "--samples/--no-samples",
    default=True,
    show_default=True,
    help="Texts in the file, as token ids; without them compress needs --data for layer-wise reconstruction.",
)
@option(Group.OUTPUT, "--merge", is_flag=True, help="Add up statistics files of shards, instead of collecting.")
@overwrite_option
@json_option
def command(model: tuple[str, ...], out: Path, merge: bool, as_json: bool, **options: Any) -> None:
    """Collect per-example Fisher statistics of MODEL on task data, or add up the files of several shards.

    \b
    Example:
      fwsvd-export fisher my-model --task sst2 --data train.jsonl --max-samples 2048 -o fisher.safetensors
      fwsvd-export fisher my-model --task sst2 --data train.jsonl --shard 1/2 -o first.safetensors
      fwsvd-export fisher --merge first.safetensors second.safetensors -o fisher.safetensors
    """
    if merge:
        _check_merging(model)
        from fwsvd_export.workflows.fisher import run_merge

        statistics = run_merge([Path(file) for file in model], out, overwrite=options["overwrite"])
    else:
        if len(model) != 1:
            raise click.UsageError(f"{len(model)} models given: name one MODEL, or merge statistics files with --merge")
        data, source = replace(required_data(options), shard=options.pop("shard")), source_of(model[0], options)
        from fwsvd_export.cli.console import prepare_libraries, steps
        from fwsvd_export.workflows.fisher import run_fisher

        prepare_libraries()
        statistics = run_fisher(source, out, data, steps=steps(), **options)
    _report(statistics, out, merge, as_json)


def _check_merging(files: tuple[str, ...]) -> None:
    """Refuses options that only collecting has, and fewer than two files."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
        if given and parameter.name not in _OF_MERGING:
            raise click.UsageError(f"{parameter.opts[0]} is for collecting; --merge takes statistics files and -o FILE")
    if len(files) < 2:
        raise click.UsageError(f"--merge needs at least two statistics files, and {len(files)} given")


def _report(statistics: Statistics, out: Path, merged: bool, as_json: bool) -> None:
    """What was written, and what cannot be done with it."""
    from fwsvd_export.cli.console import hint, print_json, print_table

    sample = statistics.sample
    values = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "layers": len(statistics.layers),
        "examples": statistics.examples,
        "tokens": statistics.tokens,
        "collected": list(statistics.collected),
        "labels": statistics.source.labels,
        "temperature": statistics.source.temperature,
        "model_sha256": statistics.source.model_sha256,
        "sample_sequences": 0 if sample is None else sample.sequences,
    }
    if as_json:
        print_json(values)
    else:
        rows = [[name, ", ".join(value) if isinstance(value, list) else str(value)] for name, value in values.items()]
        print_table("Fisher statistics", ["what", "value"], rows)
    if sample is None:
        why = "One of the files holds no texts, so this one holds none" if merged else "The file holds no texts"
        hint(f"{why}: compress --fisher {out.name} alone cannot reconstruct layers; give --data beside it.")
