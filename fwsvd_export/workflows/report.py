"""``report``: one page from the folders of compressions, benchmarks and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fwsvd_export.errors import OutputError
from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.read import check_folders, is_checkpoint
from fwsvd_export.report.page.render import plotly_script
from fwsvd_export.report.page.write import is_page, write_page
from fwsvd_export.storage.file_names import REPORT_FILE
from fwsvd_export.storage.output import check_output


@dataclass(frozen=True)
class ReportRequest:
    """What was asked for.

    Attributes:
        folders: what the page is made from, at least one.
        out: the HTML file; None for the first folder's own place, where a page of ours is replaced: like this one it
            only shows what lies in folders.
        markdown: a Markdown file with the same tables; None for none.
        overwrite: replace files that exist.
    """

    folders: tuple[Path, ...]
    out: Path | None = None
    markdown: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
        html: the HTML file.
        markdown: the Markdown file; None for none.
        html_bytes: size of the first.
        headlines: dense model -> what came out, in sentences.
    """

    html: Path
    markdown: Path | None
    html_bytes: int
    headlines: dict[str, tuple[str, ...]]


def run_report(request: ReportRequest) -> ReportResult:
    """Reads the folders and writes the page.

    Raises:
        ReportError: a folder holds nothing that a page is made of, or is given twice.
        OutputError: a file exists, has another ending, or the disk is full.
        MissingExtraError: plotly is not installed.
        FwsvdExportError: a record in one of the folders is damaged.
    """
    check_folders(request.folders)
    html = default_output(request.folders) if request.out is None else request.out
    replaces = request.overwrite or (request.out is None and is_page(html))
    _check_file(html, (".html", ".htm"), replaces)
    if request.markdown is not None:
        _check_file(request.markdown, (".md",), request.overwrite)
    plotly_script()  # or a missing library would be found after the work
    page = build_page(request.folders)
    write_page(page, html, request.markdown, replaces)
    headlines = {chapter.title: chapter.headlines for chapter in page.chapters}
    return ReportResult(html, request.markdown, html.stat().st_size, headlines)


def default_output(folders: Sequence[Path]) -> Path:
    """``report.html`` in the first folder; beside a compressed checkpoint, as everything in its folder is pushed."""
    first = folders[0] if folders[0].name not in ("", "..") else folders[0].resolve()
    return first.with_name(f"{first.name}-{REPORT_FILE}") if is_checkpoint(first) else first / REPORT_FILE


def _check_file(path: Path, endings: Sequence[str], overwrite: bool) -> None:
    """Refuses what is not a file of its kind: with ``overwrite`` a slip would replace results."""
    if path.suffix.lower() not in endings or path.is_dir():
        kind = "a folder" if path.is_dir() else "of another kind"
        raise OutputError(f"{path} is {kind}; give a file whose name ends in {' or '.join(endings)}")
    check_output(path, overwrite)
