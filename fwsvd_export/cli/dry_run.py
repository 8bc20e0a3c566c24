"""What ``compress --dry-run`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli.options import Options

if TYPE_CHECKING:
    from fwsvd_export.compression.forecast import Forecast

_NEEDS_A_MODEL = {"max_drop": "--max-drop", "report": "--report", "refine": "--refine"}


def check_dry_run(options: Options) -> None:
    """Refuses what a dry run cannot do.

    Raises:
        click.UsageError: an option that needs the compressed model.
    """
    for name, typed in _NEEDS_A_MODEL.items():
        if options[name] not in (None, "none"):
            raise click.UsageError(f"{typed} needs the compressed model, which --dry-run does not make; leave one out")


def forecast_json(model: str, method: str, found: Forecast) -> dict[str, Any]:
    """What --json prints."""
    return {
        "model": model,
        "method": method,
        "sizes": [
            {
                "ratio": size.ratio,
                "parameters": size.parameters,
                "predicted_loss": size.loss,
                "of_guessing": found.of_guessing(size),
                "asked": size.asked,
            }
            for size in found.sizes
        ],
        "bend": found.bend,
        "guessing": None if found.guessing is None else found.guessing.loss,
    }


def print_forecast(model: str, method: str, found: Forecast) -> None:
    """Prints a table of sizes, and what it means."""
    from fwsvd_export.cli.console import hint, print_table

    rows = []
    for size in found.sizes:
        share = found.of_guessing(size)
        rows.append(
            [
                f"{100 * size.ratio:.1f} %{' (asked for)' if size.asked else ''}",
                f"{size.parameters:,}",
                f"{size.loss:.3g}",
                *([] if share is None else [f"{100 * share:.1f} %"]),
            ]
        )
    columns = ["linear weights", "all parameters", "predicted loss", *(["of guessing"] if found.guessing else [])]
    print_table(f"{model}, {method}: nothing is written", columns, rows)
    if found.guessing is not None:
        hint(f"Guessing costs {found.guessing.loss:.3g} ({found.guessing.why}).")
    hint(
        f"The curve bends at about {100 * found.bend:.0f} % of the linear weights: below it every weight less costs "
        "more than on average. Losses are predicted for the factors alone; reconstruction wins part of them back, and "
        "how much accuracy they are, evaluate tells."
    )
