"""The recipe of ``report``: where the page goes, what it is refused, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fwsvd_export.errors import MissingExtraError, OutputError
from fwsvd_export.workflows import report as module
from fwsvd_export.workflows.report import ReportRequest, default_output, run_report
from tests.report.page.results import bench_result, record, sweep_result, write, write_all

Spelt = Callable[[Path], Path]


def test_the_page_lies_in_the_first_folder_and_beside_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, bench, checkpoint, losses = write_all(tmp_path)
    for folder in (sweep, bench, losses):
        assert default_output([folder, checkpoint]) == folder / "report.html"
    assert default_output([checkpoint, bench]) == tmp_path / "small-report.html"
    monkeypatch.chdir(checkpoint)
    assert default_output([Path()]) == tmp_path / "small-report.html"


def test_what_was_written_is_told(tmp_path: Path) -> None:
    folders = tuple(write_all(tmp_path))
    result = run_report(ReportRequest(folders, markdown=tmp_path / "page.md"))
    assert (result.html, result.markdown) == (tmp_path / "sweep" / "report.html", tmp_path / "page.md")
    assert result.html_bytes == result.html.stat().st_size > 1_000_000
    assert list(result.headlines) == ["dense"]
    assert all(sentence in (tmp_path / "page.md").read_text(encoding="utf-8") for sentence in result.headlines["dense"])


def test_a_checkpoint_folder_stays_as_it_was(tmp_path: Path) -> None:
    folder = write(tmp_path / "small", "compression.json", record())
    run_report(ReportRequest((folder,)))
    assert [file.name for file in folder.iterdir()] == ["compression.json"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"out": "results.json"}, "is of another kind; give a file whose name ends in .html or .htm"),
        ({"out": "pages.html"}, "pages.html is a folder; give a file whose name ends in .html or .htm"),
        ({"markdown": "results.json"}, "is of another kind; give a file whose name ends in .md"),
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_an_output_of_another_kind_is_refused(
    overwrite: bool, asked: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, "results.json", bench_result())
    (tmp_path / "pages.html").mkdir()
    before = (tmp_path / "results.json").read_bytes()
    files = {name: tmp_path / file for name, file in asked.items()}
    with pytest.raises(OutputError) as caught:
        run_report(ReportRequest((folder,), overwrite=overwrite, **files))  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert (tmp_path / "results.json").read_bytes() == before


@pytest.mark.parametrize(("named", "ours"), [(True, True), (False, False)], ids=["a name was given", "not ours"])
def test_a_page_that_exists_is_replaced_when_asked(named: bool, ours: bool, tmp_path: Path) -> None:
    folder, page = write(tmp_path, "results.json", bench_result()), tmp_path / "report.html"
    request = ReportRequest((folder,), out=page if named else None)
    page.write_text("my notes", encoding="utf-8")
    if ours:
        page.unlink()
        run_report(request)
    before = page.read_bytes()
    with pytest.raises(OutputError, match=r"report\.html exists already; choose another name or give --overwrite"):
        run_report(request)
    assert page.read_bytes() == before
    write(tmp_path, "results.json", sweep_result())
    run_report(replace(request, overwrite=True))
    assert "Every cell of the grid" in page.read_text(encoding="utf-8")


def test_an_earlier_page_at_its_own_place_is_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path, "results.json", bench_result())
    run_report(ReportRequest((folder,)))
    write(tmp_path, "results.json", sweep_result())
    result = run_report(ReportRequest((folder,)))
    assert "Every cell of the grid" in result.html.read_text(encoding="utf-8")


def test_a_missing_library_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise MissingExtraError("plotly", "report")

    monkeypatch.setattr(module, "plotly_script", missing)
    monkeypatch.setattr(module, "build_page", lambda folders: pytest.fail("read"))
    with pytest.raises(MissingExtraError):
        run_report(ReportRequest((tmp_path,)))
