"""What a page consists of, before anything is HTML or Markdown; all texts are plain."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One field of a table.

    Attributes:
        text: as it is shown; empty for what was not measured.
        order: what the column is sorted by; None for the text.
        series: the method whose mark stands before the text.
    """

    text: str
    order: float | None = None
    series: str | None = None


@dataclass(frozen=True)
class Column:
    """Title of a column; numbers are aligned to the right."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table that is sorted by a click on a title.

    Attributes:
        title: above it.
        columns: the first one names the rows.
        rows: as many cells as columns.
        note: one or two sentences below the title.
        folded: whether it is shown on demand.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Plot:
    """One drawing, in plotly's terms; colours are names of the style's properties, such as ``var(--ink)``.

    Attributes:
        label: above it, or in the list that it is chosen from.
        data: traces.
        layout: what differs from the common layout.
    """

    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """Drawings of one kind.

    Attributes:
        title: above it.
        summary: what it shows, in a sentence: for who does not see it, and below the title for who does.
        plots: side by side, or one at a time.
        choice: name of the list that one plot is chosen from; empty when all stand side by side.
        series: methods that the legend has, each of which can be hidden.
    """

    title: str
    summary: str
    plots: tuple[Plot, ...]
    choice: str = ""
    series: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A term and what is known of it."""

    term: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command for a shell, and what it makes."""

    makes: str
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """As it is typed."""
        return " ".join(self.phrases)

    @property
    def phrases(self) -> list[str]:
        """The words, quoted, every option with its value: where a line may break."""
        found: list[str] = []
        for before, word in zip(("", *self.words), self.words, strict=False):
            if before.startswith("-") and not word.startswith("-"):
                found[-1] += f" {shlex.quote(word)}"
            else:
                found.append(shlex.quote(word))
        return found


@dataclass(frozen=True)
class Picture:
    """A PNG that a folder has; the Markdown page shows it, HTML has figures of its own."""

    path: Path
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading."""

    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """Everything about one dense model: its name, what came out in a sentence or two, and the sections."""

    title: str
    headlines: tuple[str, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Page:
    """The whole page.

    Attributes:
        title: of the page.
        chapters: one per dense model.
        sources: the folders that it was made from, as a sentence lists them.
        version: of the package that wrote it.
    """

    title: str
    chapters: tuple[Chapter, ...]
    sources: str
    version: str
