"""The HTML holds everything it needs, lets nothing in, and shows texts from outside as texts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from fwsvd_export.errors import MissingExtraError
from fwsvd_export.report.page import render
from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.render import plotly_script, render_html
from fwsvd_export.solvers.names import METHODS
from tests.report.page.results import HOSTILE, sweep_result, write, write_all

VOID = {"meta", "link", "br", "img", "input"}


class Elements(HTMLParser):
    """Every element of a page with its attributes and the text directly inside it; counts what is left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of all kinds of folders, with a hostile model and method."""
    folders = write_all(tmp_path_factory.mktemp("results"), small=HOSTILE, methods=("svd", HOSTILE))
    return render_html(build_page(folders))


@pytest.fixture(scope="module")
def elements(html: str) -> Elements:
    return Elements(html)


def test_every_element_is_closed_and_ids_are_single(elements: Elements) -> None:
    assert elements.open == []
    ids = [str(attributes["id"]) for _, attributes in elements.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [str(attributes["href"]) for attributes in elements.of("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_nothing_is_loaded(elements: Elements) -> None:
    assert elements.of("img") == elements.of("iframe") == elements.of("object") == []
    assert [attributes["href"] for attributes in elements.of("link")] == ["data:,"]
    assert all("src" not in attributes for attributes in elements.of("script"))
    style = "".join(text for tag, text in elements.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_cells_of_numbers_say_what_they_are_sorted_by_whatever_they_read(elements: Elements) -> None:
    """A minus sign and a percent sign do not sort as text."""
    cells = [cell for name, cell in elements.found if name == "td" and cell.get("class") == "number"]
    orders = [float(str(cell["data-order"])) for cell in cells if "data-order" in cell]
    shown = [text for tag, text in elements.texts if tag == "td" and text.startswith("−")]
    assert len(orders) > len(cells) / 2
    assert sum(order < 0 for order in orders) >= len(shown) > 0
    assert len(set(orders)) > 10


def test_the_policy_names_the_digest_of_every_script_and_allows_nothing_else(elements: Elements) -> None:
    (policy,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules, "as default-src has it"
    _, packed, *plain = [text for tag, text in elements.texts if tag == "script"]
    scripts = [gzip.decompress(base64.b64decode(packed)).decode(), *plain]
    assert scripts[0] == plotly_script()
    assert len(plain) == 2
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert "unsafe" not in rules["script-src"]


def test_hostile_names_are_texts(html: str, elements: Elements) -> None:
    assert any(HOSTILE in text for tag, text in elements.texts if tag != "script")
    assert HOSTILE not in html, "it is escaped wherever it stands"
    (figures,) = [text for tag, text in elements.texts if tag == "script" and text.startswith("{")]
    assert not re.search(r"[<>&]", figures)
    assert "&lt;/script&gt;" in json.dumps(json.loads(figures)), "plotly gets entities, which it shows as they stand"
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")]


def test_characters_that_turn_the_direction_are_not_shown(tmp_path: Path) -> None:
    html = render_html(build_page(write_all(tmp_path, small="a\u202egpj.exe\nb")))
    assert "\u202e" not in html
    assert "a gpj.exe b" in html


def test_headings_go_down_one_step_at_a_time(elements: Elements) -> None:
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_page_of_two_models_has_a_heading_for_each(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "results.json", sweep_result())
    other = write(tmp_path / "other", "results.json", sweep_result(base_sha256="9" * 64, model="stsb"))
    elements = Elements(render_html(build_page([one, other])))
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(2) == 2
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    plots = [attributes["data-figure"] for attributes in elements.of("div") if attributes.get("class") == "plot"]
    assert len(set(plots)) == 4, "every figure has an id of its own"


def test_figures_and_tables_are_told_to_who_does_not_see_them(elements: Elements) -> None:
    plots = [attributes for attributes in elements.of("div") if attributes.get("class") == "plot"]
    assert plots
    for plot in plots:
        assert plot["role"] == "img"
        assert len(str(plot["aria-label"])) > 40
    regions = [attributes for attributes in elements.of("div") if attributes.get("class") == "scroll"]
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions), "scrolled by keys, too"
    assert {attributes["aria-sort"] for attributes in elements.of("th") if attributes.get("scope") == "col"} == {"none"}


def test_the_same_page_gives_the_same_bytes(html: str, tmp_path: Path) -> None:
    assert render_html(build_page(write_all(tmp_path, small=HOSTILE, methods=("svd", HOSTILE)))) == html


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"plotly.*fwsvd-export\[report\]"):
        plotly_script()


def themes() -> dict[str, dict[str, str]]:
    """Theme -> property -> colour, from the style itself."""
    style = (Path(render.__file__).with_name("style.css")).read_text(encoding="utf-8")
    light, dark = re.findall(r":root[^{]*\{([^}]*--paper[^}]*)\}", style)
    return {
        name: dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for name, block in (("light", light), ("dark", dark))
    }


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    low, high = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


# Machado, Oliveira & Fernandes 2009, severity 1: what remains without red, green or blue cones
CONES = {
    "all": np.eye(3),
    "red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "blue": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def lab(values: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(values, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_and_marks_have_contrast(theme: str) -> None:
    colours = themes()[theme]
    for text in ("ink", "soft", "accent"):
        assert contrast(colours[text], colours["paper"]) >= 4.5, text
        assert contrast(colours[text], colours["surface"]) >= 4.5, text
    for name, colour in colours.items():
        if name.startswith("series") or name == "faint":
            assert contrast(colour, colours["paper"]) >= 3, name
    for text, cells in (("weak", ("low", "turn")), ("strong", ("turn", "high"))):
        for cell in cells:
            assert contrast(colours[f"heat-text-{text}"], colours[f"heat-{cell}"]) >= 4.5, (text, cell)


@pytest.mark.parametrize("cones", CONES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_methods_are_told_apart_with_any_cones(theme: str, cones: str) -> None:
    colours = themes()[theme]
    seen = [lab(CONES[cones] @ linear(colours[f"series-{place}"])) for place in range(len(METHODS))]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 18


def test_both_themes_have_the_same_properties() -> None:
    assert themes()["light"].keys() == themes()["dark"].keys()
