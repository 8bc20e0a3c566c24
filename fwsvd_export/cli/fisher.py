"""``fisher``: collect statistics once, for many compressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.options import (
    data_options,
    json_option,
    labels_option,
    overwrite_option,
    required_data,
    source_of,
    source_options,
)


@click.command()
@click.argument("model")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True, help="The .safetensors file.")
@click.option("--collect", default="kfac,row", show_default=True, help="Any of kfac, row, element, with commas.")
@labels_option
@data_options
@source_options
@overwrite_option
@json_option
def command(model: str, out: Path, collect: str, labels: str, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Collect per-example Fisher statistics of MODEL on task data.

    \b
    Example:
      fwsvd-export fisher my-model --task sst2 --data train.jsonl --max-samples 2048 -o fisher.safetensors
    """
    data, source = required_data(options), source_of(model, options)
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table, steps
    from fwsvd_export.workflows.fisher import run_fisher

    prepare_libraries()
    chosen = tuple(name.strip() for name in collect.split(",") if name.strip())
    statistics = run_fisher(source, out, data, collect=chosen, labels=labels, overwrite=overwrite, steps=steps())
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
