"""The Markdown says what the page says, and shows names as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.markdown import render_markdown
from tests.report.page.results import HOSTILE, bench_result, sweep_result, write, write_all


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of all kinds of folders, with a hostile model."""
    folder = tmp_path_factory.mktemp("results")
    return render_markdown(build_page(write_all(folder, small=HOSTILE)), folder)


def test_it_has_headlines_facts_tables_and_commands(text: str) -> None:
    assert text.startswith("# Compression of dense\n\n**At 10 % of the linear weights (kfac, distilled) accuracy is ")
    assert "\n- Machine: a processor, 2 threads\n" in text
    assert "\n| method | training | linear weights | parameters |" in text
    assert "\n```sh\nfwsvd-export compress dense small --ratio 0.1\n```\n" in text
    assert text.endswith("from sweep, bench, small and losses.\n")


def test_every_row_of_a_table_has_its_cells(text: str) -> None:
    rows = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(rows) >= 8
    for table in rows:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_hostile_names_do_nothing(text: str) -> None:
    outside = re.sub(r"```sh\n.*?\n```", "", text, flags=re.DOTALL)
    assert "<img" not in outside
    assert "&lt;img src=x onerror=alert(1)&gt;" in outside


def test_pictures_are_linked_from_where_the_page_lies(tmp_path: Path) -> None:
    folder = write(tmp_path / "my bench", "results.json", bench_result())
    (folder / "latency.png").write_bytes(b"")
    page = build_page([folder])
    assert "\n![Latency](latency.png)\n" in render_markdown(page, folder)
    (tmp_path / "pages").mkdir()
    assert "\n![Latency](../my%20bench/latency.png)\n" in render_markdown(page, tmp_path / "pages")


def test_chapters_have_headings(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "results.json", sweep_result())
    other = write(tmp_path / "other", "results.json", sweep_result(base_sha256="9" * 64, model="stsb"))
    text = render_markdown(build_page([one, other]), tmp_path)
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["dense", "stsb"]
    assert text.count("### What was done") == 2
