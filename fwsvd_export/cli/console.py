"""What a person sees on stderr (progress, hints) and on stdout (tables, one JSON object)."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fwsvd_export.errors import FwsvdExportWarning
from fwsvd_export.runtime.progress import Advance, Steps, silent

_WIDTH_WITHOUT_TERMINAL = 160  # a table in a pipe or a log is not folded at 80 columns


def prepare_libraries() -> None:
    """Silences the libraries' warnings and loading bars, unless -v was given; call it before a model is loaded."""
    from transformers.utils import logging as transformers_logging

    if not click.get_current_context().obj["verbose"]:
        transformers_logging.disable_progress_bar()
        logging.getLogger("transformers").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", FwsvdExportWarning)


def hint_at_warnings() -> None:
    """Shows our own warnings as hints, every sentence once; ``LazyGroup`` puts things back behind the command."""
    others, seen = warnings.showwarning, set[str]()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, FwsvdExportWarning):
            others(message, category, filename, lineno, file, line)
        elif str(message) not in seen:
            seen.add(str(message))
            hint(str(message))

    warnings.simplefilter("always", FwsvdExportWarning)
    warnings.showwarning = show


def steps() -> Steps:
    """Progress bars on stderr, or none with -q."""
    return silent if click.get_current_context().obj["quiet"] else _bars


def hint(text: str) -> None:
    """One line on stderr, unless -q."""
    if not click.get_current_context().obj["quiet"]:
        click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_lines(lines: Iterable[str]) -> None:
    """Lines on stdout, as they are."""
    for line in lines:
        click.echo(line)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; all columns but the first are aligned to the right. Without rows nothing is printed."""
    if not rows:
        return
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=width, markup=False, emoji=False, highlight=False)  # names come from files
    console.print(title, style="italic", soft_wrap=True)  # a table's own title is folded at the table's width
    console.print(table)


def progress_columns() -> tuple[ProgressColumn, ...]:
    """What stands in a progress bar; its tasks have a field ``note``."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )


@contextmanager
def _bars(what: str, total: int) -> Iterator[Advance]:
    with Progress(*progress_columns(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, note="")

        def advance(note: str = "") -> None:
            progress.update(task, advance=1, note=note)

        yield advance
