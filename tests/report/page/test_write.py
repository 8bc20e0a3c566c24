"""Both files appear, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.errors import OutputError
from fwsvd_export.report.page import write as module
from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.parts import Page
from fwsvd_export.report.page.write import write_page
from tests.report.page.results import bench_result, write


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return build_page([write(tmp_path_factory.mktemp("results"), "results.json", bench_result())])


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_html_alone_or_with_markdown(page: Page, tmp_path: Path) -> None:
    write_page(page, tmp_path / "page.html")
    assert names(tmp_path) == {"page.html"}
    write_page(page, tmp_path / "page.html", tmp_path / "page.md", overwrite=True)
    assert names(tmp_path) == {"page.html", "page.md"}
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# Compression of dense")


def test_what_exists_is_kept(page: Page, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("mine")
    with pytest.raises(OutputError, match=r"page\.md exists already"):
        write_page(page, tmp_path / "page.html", tmp_path / "page.md")
    assert names(tmp_path) == {"page.md"}
    assert (tmp_path / "page.md").read_text() == "mine"


def test_what_fails_leaves_nothing_behind(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render_markdown", fails)
    with pytest.raises(KeyboardInterrupt):
        write_page(page, tmp_path / "page.html", tmp_path / "page.md")
    assert names(tmp_path) == set()
