"""``report``: one page from what other commands left in their folders."""

from __future__ import annotations

from pathlib import Path

import click

from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import PATH, json_option, overwrite_option


@click.command(cls=Command)
@click.argument("dir", nargs=-1, required=True, type=PATH)
@option(
    Group.OUTPUT,
    "-o",
    "--output",
    "out",
    type=PATH,
    metavar="FILE.html",
    show_default="report.html in the first DIR, beside it for a checkpoint",
    help="File for the page; only where none is named, an earlier page of ours is replaced without --overwrite.",
)
@option(
    Group.OUTPUT,
    "--markdown",
    type=PATH,
    metavar="FILE.md",
    help="File for the same sentences and tables in Markdown, with links to the PNGs in DIR.",
)
@overwrite_option
@json_option
def command(dir: tuple[Path, ...], out: Path | None, markdown: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write one HTML page from every DIR: compressed checkpoints, and folders of bench, sweep and compress --report.

    The page needs no network and no other file: what was done, what came out, sortable tables, figures to hover over,
    and the commands that repeat it. Folders are put together when they are about the same dense model, by the digest
    of its weights; those of another one get a chapter of their own.

    \b
    Example:
      fwsvd-export report sweep bench my-model-small -o report.html
    """
    from fwsvd_export.cli.console import hint, print_json
    from fwsvd_export.report.page.words import megabytes
    from fwsvd_export.workflows.report import ReportRequest, run_report

    result = run_report(ReportRequest(dir, out, markdown, overwrite))
    if as_json:
        files = {"html": str(result.html), "markdown": None if markdown is None else str(markdown)}
        print_json({**files, "html_bytes": result.html_bytes, "headlines": result.headlines})
        return
    for name, sentences in result.headlines.items():
        for sentence in sentences:
            click.echo(sentence if len(result.headlines) == 1 else f"{name}: {sentence}")
    hint(f"{result.html} is written ({megabytes(result.html_bytes)}, most of it plotly.js); open it in a browser.")
