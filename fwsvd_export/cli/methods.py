"""``methods``: the table of solvers."""

from __future__ import annotations

import click

from fwsvd_export.cli.groups import Command
from fwsvd_export.cli.options import json_option


@click.command(cls=Command)
@json_option
def command(as_json: bool) -> None:
    """List the solvers: name, what each minimises, exact or iterative, source.

    \b
    Example:
      fwsvd-export methods
    """
    from fwsvd_export.cli.console import print_json, print_table
    from fwsvd_export.solvers.options import options_to_json
    from fwsvd_export.solvers.solver import ClosedForm
    from fwsvd_export.solvers.table import SOLVERS

    if as_json:
        print_json(
            {
                "methods": [
                    {
                        "name": solver.name,
                        "minimises": solver.minimises,
                        "exact": isinstance(solver, ClosedForm),
                        "needs": solver.needs,
                        "comparable_across_layers": solver.comparable,
                        "options": options_to_json(solver.options()),
                        "source": solver.source,
                    }
                    for solver in SOLVERS.values()
                ]
            }
        )
        return
    rows = [
        [
            solver.name,
            solver.minimises,
            "exact" if isinstance(solver, ClosedForm) else "iterative",
            solver.needs or "nothing",
            solver.source,
        ]
        for solver in SOLVERS.values()
    ]
    print_table("Methods", ["name", "minimises", "kind", "statistics", "source"], rows)
