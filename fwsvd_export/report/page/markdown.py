"""A page as Markdown: the same sentences, tables and commands, and the PNGs that the folders have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fwsvd_export.hub.card.markdown import block, plain
from fwsvd_export.report.page.parts import Chapter, Page, Picture, Section, Table


def render_markdown(page: Page, folder: Path) -> str:
    """The Markdown of a page.

    Args:
        page: what it says.
        folder: that the file goes to; pictures are linked from there.
    """
    several = len(page.chapters) > 1
    lines = [f"# {plain(page.title)}", ""]
    for chapter in page.chapters:
        lines += [f"## {plain(chapter.title)}", ""] if several else []
        lines += _chapter(chapter, folder, "###" if several else "##")
    lines.append(f"Written by fwsvd-export {plain(page.version)} from {plain(page.sources)}.")
    return "\n".join(lines) + "\n"


def _chapter(chapter: Chapter, folder: Path, mark: str) -> Iterator[str]:
    for sentence in chapter.headlines:
        yield from (f"**{plain(sentence)}**", "")
    for section in chapter.sections:
        yield from (f"{mark} {plain(section.title)}", "")
        yield from _section(section, folder, f"{mark}#")


def _section(section: Section, folder: Path, mark: str) -> Iterator[str]:
    for paragraph in section.paragraphs:
        yield from (plain(paragraph), "")
    for fact in section.facts:
        yield f"- {plain(fact.term)}: {'; '.join(map(plain, fact.lines))}"
    if section.facts:
        yield ""
    for picture in section.pictures:
        yield from (_image(picture, folder), "")
    for table in section.tables:
        yield from (f"{mark} {plain(table.title)}", "")
        yield from ((plain(table.note), "") if table.note else ())
        yield from (*_table(table), "")
    for command in section.commands:
        yield from (plain(command.makes), "", block(command.line, "sh"), "")


def _image(picture: Picture, folder: Path) -> str:
    place = Path(os.path.relpath(picture.path.resolve(), folder.resolve())).as_posix()
    return f"![{plain(picture.alt)}]({quote(place)})"


def _table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(plain(column.title) for column in table.columns) + " |"
    yield "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(plain(cell.text) for cell in row) + " |"
