"""Writes docs/commands.md: every command with its options, and the table of methods, from the code itself.

python scripts/make_reference.py
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from fwsvd_export.cli import COMMANDS, group
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import SOLVERS

TARGET = Path(__file__).parent.parent / "docs" / "commands.md"
WIDTH = 100


def main() -> None:
    """Writes the file."""
    made = "Made by `python scripts/make_reference.py` from the code. [guide.md](guide.md) uses them in turn."
    sections = ["# Commands", made, methods_table()]
    root = click.Context(group, info_name="fwsvd-export", **group.context_settings)
    for name in COMMANDS:
        command = group.get_command(root, name)
        assert command is not None, "the table names commands that exist"
        context = click.Context(command, info_name=name, parent=root, terminal_width=WIDTH)
        sections.append(f"## {name}\n\n```\n{command.get_help(context)}\n```")
    TARGET.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    print(json.dumps({"written": TARGET.name, "commands": len(COMMANDS), "methods": len(SOLVERS)}))


def methods_table() -> str:
    """The solver table in Markdown."""
    lines = ["## Methods", "", "| name | minimises | kind | statistics | source |", "|---|---|---|---|---|"]
    for solver in SOLVERS.values():
        kind = "exact" if isinstance(solver, ClosedForm) else "iterative"
        cells = (f"`{solver.name}`", solver.minimises, kind, solver.needs or "none", solver.source)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
