"""The documentation knows every command, option and method, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from fwsvd_export.cli import COMMANDS, group
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.solvers.table import SOLVERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_in_the_reference(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    section = REFERENCE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for parameter in command.params:
        written = parameter.opts[-1] if isinstance(parameter, click.Option) else str(parameter.name).upper()
        hidden = isinstance(parameter, click.Option) and parameter.hidden
        assert (written in section) is not hidden, "run python scripts/make_reference.py"


def test_the_tables_of_methods_are_those_of_the_solvers() -> None:
    rows = {solver.name: solver.minimises for solver in SOLVERS.values()}
    for text in (README, REFERENCE):
        assert dict(re.findall(r"^ *\| `(\w+)` \| ([^|]+?) \|", text, flags=re.MULTILINE)) == rows


def test_the_readme_names_every_command_and_task() -> None:
    for name in (*COMMANDS, *TASKS):
        assert re.search(rf"\b{name}\b", README), name


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
