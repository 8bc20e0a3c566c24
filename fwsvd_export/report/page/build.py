"""A page from what lies in folders: a chapter per dense model, its sections in one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fwsvd_export import __version__
from fwsvd_export.report.page.bench_section import bench_section
from fwsvd_export.report.page.chapters import ChapterFacts, chapters_of
from fwsvd_export.report.page.checkpoint_section import checkpoint_section
from fwsvd_export.report.page.commands import commands_section
from fwsvd_export.report.page.done_section import done_section
from fwsvd_export.report.page.facts import Facts
from fwsvd_export.report.page.headline import headlines
from fwsvd_export.report.page.latency_section import latency_sections
from fwsvd_export.report.page.losses_section import losses_section
from fwsvd_export.report.page.parts import Chapter, Page, Picture, Section
from fwsvd_export.report.page.read import read_folders
from fwsvd_export.report.page.speed import speed_of_bench
from fwsvd_export.report.page.sweep_section import sweep_section
from fwsvd_export.report.page.training_section import training_section
from fwsvd_export.report.page.words import joined

# PNG that a command leaves in its folder -> what it shows
PICTURES = {
    "sweep.png": "Metric against size",
    "latency.png": "Latency",
    "losses.png": "Predicted against measured loss per layer",
}


def build_page(folders: Sequence[Path], labels: Sequence[str] | None = None) -> Page:
    """Reads the folders and puts the page together; writes nothing.

    Args:
        folders: compressed checkpoints, and folders of ``bench``, ``sweep`` and ``compress --report``.
        labels: what they are called; None for names as short as tells them apart.

    Raises:
        ReportError: a folder is not there, is given twice, or holds nothing that a page is made of.
        FwsvdExportError: a record in one of them is damaged.
    """
    facts = read_folders(folders, labels)
    pictures = {found.label: _pictures(folder) for found, folder in zip(facts, folders, strict=True)}
    return page_of(facts, pictures)


def page_of(facts: Sequence[Facts], pictures: Mapping[str, Sequence[Picture]]) -> Page:
    """The page about some facts.

    Args:
        facts: of at least one folder.
        pictures: label of a folder -> PNGs in it.
    """
    chapters = chapters_of(facts)
    title = f"Compression of {joined([chapter.name for chapter in chapters])}"
    made = tuple(Chapter(chapter.name, headlines(chapter), tuple(_sections(chapter, pictures))) for chapter in chapters)
    return Page(title, made, joined([found.label for found in facts]), __version__)


def _pictures(folder: Path) -> list[Picture]:
    return [Picture(folder / name, alt) for name, alt in PICTURES.items() if (folder / name).is_file()]


def _sections(chapter: ChapterFacts, pictures: Mapping[str, Sequence[Picture]]) -> Iterator[Section]:
    yield done_section(chapter)
    for sweep in chapter.sweeps:
        yield sweep_section(sweep, _title("Sweep", sweep, chapter.sweeps), pictures.get(sweep.label, ()))
    for bench in chapter.benches:
        speed, title = speed_of_bench(bench, chapter.methods), _title("Benchmark", bench, chapter.benches)
        yield bench_section(bench, speed, title, pictures.get(bench.label, ()))
    if chapter.checkpoints:
        yield checkpoint_section(chapter.checkpoints)
    for facts in chapter.checkpoints:
        yield from latency_sections(facts)
        training = training_section(facts)
        if training is not None:
            yield training
    for losses in chapter.losses:
        title = _title("Layer losses", losses, chapter.losses)
        yield losses_section(losses, title, pictures.get(losses.label, ()))
    commands = commands_section(chapter)
    if commands is not None:
        yield commands


def _title(kind: str, facts: Facts, alike: Sequence[Facts]) -> str:
    """The title of a folder's section, with its name where there are several of its kind."""
    return kind if len(alike) == 1 else f"{kind}: {facts.label}"
