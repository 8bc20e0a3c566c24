"""``fisher``: collect statistics once, for many compressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.choices import SomeOf
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


@click.command(cls=Command)
@click.argument("model")
@source_options
@data_options
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
@overwrite_option
@json_option
def command(model: str, out: Path, as_json: bool, **options: Any) -> None:
    """Collect per-example Fisher statistics of MODEL on task data.

    \b
    Example:
      fwsvd-export fisher my-model --task sst2 --data train.jsonl --max-samples 2048 -o fisher.safetensors
    """
    data, source = required_data(options), source_of(model, options)
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table, steps
    from fwsvd_export.workflows.fisher import run_fisher

    prepare_libraries()
    statistics = run_fisher(source, out, data, steps=steps(), **options)
    values = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "layers": len(statistics.layers),
        "examples": statistics.examples,
        "tokens": statistics.tokens,
        "collected": list(statistics.collected),
        "labels": statistics.source.labels,
        "model_sha256": statistics.source.model_sha256,
    }
    if as_json:
        print_json(values)
    else:
        rows = [[name, ", ".join(value) if isinstance(value, list) else str(value)] for name, value in values.items()]
        print_table("Fisher statistics", ["what", "value"], rows)
