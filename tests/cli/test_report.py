"""``report`` at the command line: one page from real folders, one sentence for what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.report.page.results import bench_result, record, sweep_result, write, write_all

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

LIGHT = """
import sys
from fwsvd_export.cli import main
sys.argv = ["fwsvd-export", "-q", "report", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print(sorted({"torch", "transformers", "matplotlib", "numpy"} & set(sys.modules)))
"""


def test_a_page_of_what_compress_and_its_report_really_write(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Succeed
) -> None:
    data, layers = ["--task", "sst2", "--data", data_file], tmp_path / "layers"
    succeed("compress", tiny_folder, tmp_path / "small", *data, "--ratio", 0.3, "--report", layers)
    page = tmp_path / "page.html"
    said = succeed("report", tmp_path / "small", layers, "-o", page)
    assert said.startswith("At ")
    html = page.read_text(encoding="utf-8")
    assert html.count("Compression of tiny-classifier") == 2, "both folders are of one model"
    assert "Layer losses" in html
    assert "encoder.layer.0.attention.self.query" in html
    assert str(tmp_path) not in html


def test_the_sentences_are_printed_and_the_file_is_hinted_at(tmp_path: Path, run: Run) -> None:
    result = run("report", *write_all(tmp_path), "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    assert result.stdout.startswith("At 10 % of the linear weights (kfac, distilled) accuracy is .867")
    assert f"{tmp_path / 'page.html'} is written (" in result.stderr
    assert "most of it plotly.js" in result.stderr


def test_sentences_of_two_models_name_them(tmp_path: Path, succeed: Succeed) -> None:
    one = write(tmp_path / "one", "results.json", sweep_result())
    other = write(tmp_path / "other", "results.json", sweep_result(base_sha256="9" * 64, model="stsb"))
    assert [line.partition(":")[0] for line in succeed("report", one, other).splitlines()] == ["dense", "stsb"]


def test_json_is_one_object(tmp_path: Path, succeed: Succeed) -> None:
    folder = write(tmp_path, "results.json", bench_result())
    answer = json.loads(succeed("report", folder, "--markdown", tmp_path / "page.md", "--json"))
    assert answer["html"] == str(tmp_path / "report.html")
    assert answer["markdown"] == str(tmp_path / "page.md")
    assert answer["html_bytes"] == (tmp_path / "report.html").stat().st_size
    assert answer["headlines"]["dense"][0].startswith("At ")


def test_no_folder_is_wrong_usage(refused: Refused) -> None:
    assert "Missing argument 'DIR...'" in refused("report", code=2)


def test_what_a_page_is_not_made_of_is_said(tmp_path: Path, tiny_folder: Path, refused: Refused) -> None:
    kinds = (
        "give a compressed checkpoint (compression.json), or what bench -o (results.json), sweep -o (results.json) or "
        "compress --report (losses.json) wrote"
    )
    assert refused("report", tmp_path / "none") == f"Error: {tmp_path / 'none'} is not a folder; {kinds}"
    assert refused("report", tiny_folder) == f"Error: {tiny_folder} holds nothing that a report is made of; {kinds}"


def test_a_damaged_folder_among_good_ones_leaves_no_page(tmp_path: Path, refused: Refused) -> None:
    good = write(tmp_path / "good", "results.json", bench_result())
    bad = write(tmp_path / "bad", "compression.json", {**record().to_json(), "method": 3})
    said = refused("report", good, bad)
    assert "compression.json: method is 3, a text of one line and at most 500 characters is needed" in said


@pytest.mark.parametrize("name", ["page.txt", "results.json"])
def test_a_page_is_an_html_file(name: str, tmp_path: Path, refused: Refused) -> None:
    folder = write(tmp_path, "results.json", bench_result())
    assert refused("report", folder, "-o", tmp_path / name, "--overwrite") == (
        f"Error: {tmp_path / name} is of another kind; give a file whose name ends in .html or .htm"
    )


def test_it_needs_no_heavy_library(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LIGHT, *map(str, write_all(tmp_path))]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
