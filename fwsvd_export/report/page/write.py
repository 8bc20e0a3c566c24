"""A page on disk, atomically."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from fwsvd_export.report.page.markdown import render_markdown
from fwsvd_export.report.page.parts import Page
from fwsvd_export.report.page.render import render_html
from fwsvd_export.storage.output import atomic_output

_HEAD = 4096  # bytes in which a page says what wrote it
_GENERATOR = b'<meta name="generator" content="fwsvd-export '


def is_page(place: Path) -> bool:
    """Whether a file is a page that we wrote, as its head says."""
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return _GENERATOR in file.read(_HEAD)


def write_page(page: Page, html: Path, markdown: Path | None = None, overwrite: bool = False) -> None:
    """Writes the HTML file and, where it is asked for, the Markdown file; both or none.

    Args:
        page: from ``build_page``.
        html: the HTML file.
        markdown: the Markdown file; None for none.
        overwrite: replace files that exist.

    Raises:
        MissingExtraError: plotly is not installed.
        OutputError: a file exists, or the disk is full.
    """
    with ExitStack() as stack:
        place = stack.enter_context(atomic_output(html, overwrite))
        beside = None if markdown is None else stack.enter_context(atomic_output(markdown, overwrite))
        place.write_text(render_html(page), encoding="utf-8")
        if beside is not None and markdown is not None:
            beside.write_text(render_markdown(page, markdown.absolute().parent), encoding="utf-8")
