"""The documentation knows every command, option and method, the README is short, and links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
import yaml

from fwsvd_export import __version__
from fwsvd_export.architectures.registry import FAMILIES
from fwsvd_export.cli import COMMANDS, group
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.solvers.table import SOLVERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 700  # of the README
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


def test_the_table_of_methods_is_that_of_the_solvers() -> None:
    rows = {solver.name: solver.minimises for solver in SOLVERS.values()}
    assert dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", REFERENCE, flags=re.MULTILINE)) == rows


@pytest.mark.parametrize(
    "names", [COMMANDS, TASKS, SOLVERS, FAMILIES], ids=["commands", "tasks", "methods", "families"]
)
def test_the_readme_names_everything_there_is(names: Iterable[str]) -> None:
    assert [name for name in names if not re.search(rf"\b{name}\b", README)] == []


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_the_badges_and_the_citation_say_what_the_package_says() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    python, licence = (
        re.search(rf'^{name} = "(?:>=)?(.+)"$', text, re.MULTILINE) for name in ("requires-python", "license")
    )
    transformers = re.search(r'"transformers>=([\d.]+),<(\d+)"', text)
    assert python
    assert licence
    assert transformers
    assert f"badge/python-{python[1]}%2B-" in README
    assert f"badge/transformers-{transformers[1]}%20to%20{int(transformers[2]) - 1}-" in README
    assert f"badge/licence-{licence[1].replace('-', '--')}-" in README
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (__version__, licence[1])
    assert f"{{{citation['title']}}}" in README


def anchors(page: Path) -> set[str]:
    """What links into a page may name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "model_cards" / "README.md"],
    ids=lambda page: page.name,
)
def test_relative_links_lead_to_files(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"
