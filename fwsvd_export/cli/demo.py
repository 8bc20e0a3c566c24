"""``demo``: the whole job on an embedded model."""

from __future__ import annotations

from pathlib import Path

import click

from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import PATH, device_option, json_option, overwrite_option


@click.command(cls=Command)
@device_option
@option(
    Group.OUTPUT, "-o", "--output", "out", type=PATH, show_default="nothing kept", help="Folder for models and results."
)
@overwrite_option
@json_option
def command(out: Path | None, device: str, overwrite: bool, as_json: bool) -> None:
    """Fine-tune a small real BERT on movie reviews, compress it with svd, fwsvd and kfac, and compare.

    Needs no network and a few minutes on two cores; both the model and the text come from installed packages.

    \b
    Example:
      fwsvd-export demo -o demo-output
    """
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, print_table, steps
    from fwsvd_export.workflows.demo import run_demo

    prepare_libraries()
    result = run_demo(out, device=device, overwrite=overwrite, steps=steps())
    if as_json:
        print_json(result.to_json())
        return
    dense = result.rows[0]
    rows = [
        [
            row.model,
            f"{row.parameters:,}",
            f"{100 * row.linear_weights / dense.linear_weights:.0f} %",
            f"{row.file_bytes / 1e6:.1f} MB",
            f"{row.accuracy:.4f}",
            f"{row.compress_seconds:.1f} s" if row is not dense else "",
            f"{row.evaluate_seconds:.1f} s",
        ]
        for row in result.rows
    ]
    columns = ["model", "parameters", "linear weights", "file", "accuracy", "to compress", "to evaluate"]
    print_table(
        f"Movie reviews, {result.test_examples} test sentences, no fine-tuning after compression", columns, rows
    )
    taken = ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items())
    hint(f"Stages: {taken}.")
    hint(f"Kept in {out}." if out is not None else "Nothing was kept; give -o DIR to keep the models.")
