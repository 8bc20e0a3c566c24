"""Figures and pictures of the documentation are what the scripts make of the committed results and the imports."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")  # the scripts draw
SCRIPTS = Path(__file__).parents[1] / "scripts"
PAGES = ["README.md", "results.md"]


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def readme() -> Any:
    """scripts/make_readme.py."""
    return importlib.import_module("make_readme")


@pytest.fixture(scope="module")
def architecture() -> Any:
    """scripts/draw_architecture.py."""
    return importlib.import_module("draw_architecture")


@pytest.fixture(scope="module")
def pictures() -> Any:
    """scripts/pictures.py."""
    return importlib.import_module("pictures")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_script_makes_of_the_results(name: str, readme: Any) -> None:
    (page,) = [page for page in readme.PAGES if page.name == name]
    text = page.read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run python scripts/make_readme.py"


def test_every_block_stands_in_a_page(readme: Any) -> None:
    begins = [found for page in readme.PAGES for found in re.findall(r"<!-- begin (\S+) ", page.read_text("utf-8"))]
    assert sorted(begins) == sorted(readme.BLOCKS)


def test_a_changed_number_is_put_right_and_the_text_around_it_stays(readme: Any) -> None:
    text = readme.PAGES[0].read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| dense, int8"))
    changed = text.replace(row, row.replace("MB", "GB")).replace("## Install", "## Install it")
    assert readme.filled(changed) == text.replace("## Install", "## Install it")


def test_an_unknown_block_is_an_error(readme: Any) -> None:
    with pytest.raises(KeyError, match="nobody"):
        readme.filled("<!-- begin nobody (scripts/make_readme.py) -->\n<!-- end nobody -->")


def test_speed_ups_in_the_readme_are_against_the_dense_float_model(readme: Any) -> None:
    rows = [line.split("|")[1:-1] for line in readme.speed_table().splitlines() if re.match(r"\| \S+.*, ", line)]
    assert [row[0].strip().rpartition(", ")[2] for row in rows] == ["float32", *["int8"] * (len(rows) - 1)]
    assert len(rows) == 4
    for column in (-2, -1):
        base = float(rows[0][column].split()[0])
        for row in rows[1:]:
            median, _, speedup = row[column].split()
            assert float(speedup.strip("(x)")) == pytest.approx(base / float(median), rel=0.02)


def test_a_model_is_named_by_the_share_in_its_name(readme: Any) -> None:
    dense, *others = readme.bench().models
    assert readme.label(dense, dense) == "dense"
    for model in others:
        assert float(readme.label(model, dense).removesuffix(" %")) / 100 == float(model.model.rpartition("-")[2])


def test_the_readmes_picture_was_drawn_from_the_results(readme: Any, pictures: Any) -> None:
    drawn = pictures.digest(readme.drawn())
    assert pictures.drawn_from(readme.PICTURE) == drawn, "run python scripts/make_readme.py"


def test_the_picture_of_the_packages_was_drawn_from_the_imports(architecture: Any, pictures: Any) -> None:
    drawn = pictures.digest(architecture.drawn())
    assert pictures.drawn_from(architecture.PICTURE) == drawn, "run python scripts/draw_architecture.py"


def test_pictures_are_drawn_and_know_their_data(architecture: Any, readme: Any, pictures: Any, tmp_path: Path) -> None:
    for script in (architecture, readme):
        script.draw(tmp_path / "picture.png")
        assert pictures.drawn_from(tmp_path / "picture.png") == pictures.digest(script.drawn())


def test_arrows_that_a_longer_way_replaces_are_left_out(architecture: Any) -> None:
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert architecture.without_detours("a", imports) == {"b", "d"}


def test_a_line_passes_the_rows_between_and_orders_avoid_crossings(architecture: Any) -> None:
    rows, pieces = architecture.rows_of_nodes([["a", "b"], ["x"], ["c", "d"]], {"a": ["d"], "b": ["c"], "x": ["d"]})
    assert ("d", 1) in rows[1]
    assert (("a", 0), ("d", 1)) in pieces
    assert (("d", 1), ("d", 2)) in pieces
    assert architecture.crossings(architecture.ordered(rows, pieces), pieces) == 0


def test_every_package_that_is_drawn_says_what_it_holds(architecture: Any) -> None:
    shown = architecture.drawn()
    names = {name for row in shown["rows"] for name in row} | {architecture.MODELING}
    assert names == set(architecture.HOLDS)


def test_a_comparison_is_rendered_again_from_its_results(readme: Any, tmp_path: Path) -> None:
    compare = importlib.import_module("compare_methods")
    place = tmp_path / "allocation.json"
    place.write_text((readme.RESULTS / place.name).read_text(encoding="utf-8"), encoding="utf-8")
    compare.render(json.loads(place.read_text(encoding="utf-8"))["tasks"], place)
    assert place.with_suffix(".md").read_text() == (readme.RESULTS / "allocation.md").read_text()
    assert place.with_suffix(".png").is_file()


def test_what_is_kept_over_seeds_is_a_mean_and_its_ends(readme: Any) -> None:
    compare = importlib.import_module("compare_methods")
    tasks = [
        {
            "task": "snips",
            "seed": seed,
            "dense": 0.8,
            "rows": [{"method": "kfac", "ratio": 0.25, "value": value, "low": -0.125, "high": -0.0625}],
        }
        for seed, value in enumerate((0.72, 0.76, 0.74))
    ]
    *_, line = compare.kept_table(tasks).splitlines()
    cell = "92.5 % (90.0 to 95.0, 3 seeds), .720 [-0.125, -0.062]"
    assert line == f"| snips (.800) | 25 % | {cell} |"


def test_the_studys_page_and_figure_are_made_of_its_results(readme: Any, pictures: Any) -> None:
    study = importlib.import_module("study_pages")
    results, page = study.read_studies(readme.RESULTS / "study"), readme.RESULTS / "study.md"
    text = page.read_text(encoding="utf-8")
    assert [result.task for result in results] == list(study.TASKS)
    assert study.filled(text, results) == text, "run python scripts/reproduce_study.py"
    assert pictures.drawn_from(page.with_suffix(".png")) == pictures.digest(study.drawn(results))
    changed = text.replace("0.", "1.")
    assert study.filled(changed, results) != changed
