"""``densify``: factors multiplied out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.groups import Command
from fwsvd_export.cli.options import PATH, drop_option, dtype_option, json_option, overwrite_option, trust_option


@click.command(cls=Command)
@click.argument("model")
@click.argument("out", type=PATH)
@trust_option
@drop_option
@dtype_option
@overwrite_option
@json_option
def command(model: str, out: Path, dtype: str, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Multiply the factors of the compressed MODEL out into a plain model in the folder OUT.

    For tools that cannot run remote code: the size is the dense model's again, the answers are the compressed one's.

    \b
    Example:
      fwsvd-export densify my-model-small my-model-plain
    """
    from fwsvd_export.architectures.counts import total_parameters
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table
    from fwsvd_export.workflows.densify import run_densify
    from fwsvd_export.workflows.source import Source

    prepare_libraries()
    dense = run_densify(Source(model, **options), out, dtype=dtype, overwrite=overwrite)
    values = {"output": str(out), "class": type(dense).__name__, "parameters": total_parameters(dense)}
    if as_json:
        print_json(values)
    else:
        print_table("Plain model", ["what", "value"], [[name, str(value)] for name, value in values.items()])
