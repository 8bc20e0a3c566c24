"""The page in a real browser: it loads nothing, fits phones and desktops, follows the theme, sorts, hovers, copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.report.page import render
from tests.report.page.conftest import METHODS, Browser
from tests.report.page.results import HOSTILE

pytestmark = pytest.mark.browser

WIDTHS = (390, 1280)  # a phone and a desktop
FIGURES = 8
TO_POINT = """
const [panel, curve, point] = arguments;
panel.scrollIntoView({block: 'center'});
Plotly.Fx.hover(panel, [{curveNumber: curve, pointNumber: point}]);
return [...panel.querySelectorAll('.hoverlayer text')].map((text) => text.textContent);
"""


def colour(name: str, theme: str) -> str:
    """A property of the style, as a browser writes colours."""
    style = Path(render.__file__).with_name("style.css").read_text(encoding="utf-8")
    found = re.findall(rf"--{name}: #(\w\w)(\w\w)(\w\w)", style)[("light", "dark").index(theme)]
    return f"rgb({', '.join(str(int(part, 16)) for part in found)})"


def cells(browser: Browser, place: int) -> list[str]:
    """The texts of a column of the first table, in their present order."""
    rows = (
        "return [...document.querySelector('table').tBodies[0].rows].map((row) => row.cells[arguments[0]].textContent)"
    )
    found: list[str] = browser.run(rows, place)
    return found


def column(browser: Browser, title: str) -> tuple[int, Any]:
    """Place and title of a column of the first table."""
    titles = browser.find("table").find_elements("css selector", "thead th")
    place = [found.get_attribute("textContent") for found in titles].index(title)
    return place, titles[place]


@pytest.fixture(autouse=True)
def _nothing_fails(browser: Browser) -> Iterator[None]:
    """Whatever is done with the page, the console stays empty."""
    yield
    assert browser.console() == []


def test_loading_the_page_asks_for_nothing_else(browser: Browser) -> None:
    """The first test: what was asked for since the page was loaded is its own."""
    asked = [address for address in browser.requests() if not address.startswith("data:image/")]
    assert asked == [browser.page.as_uri()]
    assert browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


def test_the_policy_lets_no_other_script_in_and_nothing_out(browser: Browser) -> None:
    foreign = """const script = document.createElement('script'); script.textContent = 'window.foreign = true';
        document.body.append(script); script.remove(); return window.foreign ?? null"""
    assert browser.run(foreign) is None
    sent = "const done = arguments[0]; fetch('data:text/plain,x').then(() => done('sent'), () => done('refused'))"
    assert browser.driver.execute_async_script(sent) == "refused"
    said = browser.console()
    assert len(said) >= 2
    assert all("Content Security Policy" in message for message in said)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_sideways(width: int, theme: str, browser: Browser) -> None:
    browser.show(width, theme)
    shown, whole = browser.run("const page = document.documentElement; return [page.clientWidth, page.scrollWidth]")
    assert whole == shown > width - 20
    beyond = """return [...document.querySelectorAll('body *')].filter((element) =>
        !element.closest('.scroll > *, svg, .unseen') && element.getBoundingClientRect().right > arguments[0] + 1
    ).map((element) => element.outerHTML.slice(0, 99))"""
    assert browser.run(beyond, shown) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_drawn_as_wide_as_its_place(width: int, browser: Browser) -> None:
    browser.show(width)
    widths = browser.run("return [...document.querySelectorAll('.plot')].map((plot) => plot.clientWidth)")
    assert len(widths) >= FIGURES
    assert min(widths) > 300


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_reaches_page_and_figures(theme: str, browser: Browser) -> None:
    browser.show(1280, theme)
    assert_theme(browser, theme)


def test_a_change_of_the_theme_is_followed(browser: Browser) -> None:
    browser.show(1280, "light")
    browser.theme("dark")
    assert_theme(browser, "dark")
    browser.theme("light")
    assert_theme(browser, "light")


def assert_theme(browser: Browser, theme: str) -> None:
    body = browser.run("const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]")
    assert body == [colour("paper", theme), colour("ink", theme)]
    style = "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one)[arguments[1]])"
    assert set(browser.run(style, ".plot .xtick text", "fill")) == {colour("ink", theme)}
    first = browser.all(".plot")[0]
    lines = "return [...arguments[0].querySelectorAll('.js-line')].map((line) => line.style.stroke)"
    expected = ["series-0", "series-1", "series-6", "series-7", "series-other"]
    assert browser.run(lines, first) == [colour(name, theme) for name in expected]
    marks = browser.run(style, ".legend .mark", "backgroundColor")
    assert marks[: len(expected)] == [colour(name, theme) for name in expected]


def test_paper_is_light_and_the_screen_is_dark_again_after_it(browser: Browser) -> None:
    browser.show(1280, "dark")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert_theme(browser, "light")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert_theme(browser, "dark")


def test_a_click_on_a_title_sorts_and_a_second_one_turns_the_order(browser: Browser) -> None:
    browser.show()
    place, title = column(browser, "accuracy")
    values = cells(browser, place)
    for words, reverse in (("ascending", False), ("descending", True)):
        title.find_element("css selector", "button").click()
        assert title.get_attribute("aria-sort") == words
        assert cells(browser, place) == sorted(values, reverse=reverse)
        assert browser.find("#status").get_attribute("textContent") == f"Sorted by accuracy, {words}."
    others = browser.find("table").find_elements("css selector", "thead th[aria-sort='none']")
    assert len(others) == len(browser.find("table").find_elements("css selector", "thead th")) - 1


def test_a_table_is_sorted_with_the_keyboard_alone(browser: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.show()
    place, title = column(browser, "parameters")
    browser.run("arguments[0].previousElementSibling.firstElementChild.focus()", title)
    browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element == title.find_element("css selector", "button")
    for key, reverse in ((Keys.ENTER, False), (Keys.SPACE, True)):
        browser.driver.switch_to.active_element.send_keys(key)
        sizes = [float(words.removesuffix(" M")) for words in cells(browser, place)]
        assert sizes == sorted(sizes, reverse=reverse)


def test_what_was_not_measured_is_sorted_to_the_end(browser: Browser) -> None:
    browser.show()
    place, title = column(browser, "against dense")
    for _ in range(2):
        title.find_element("css selector", "button").click()
        assert [words == "" for words in cells(browser, place)] == [False] * (len(METHODS) * 9) + [True]


def test_hovering_shows_what_a_point_is(browser: Browser) -> None:
    browser.show()
    words = browser.run(TO_POINT, browser.all(".plot")[0], METHODS.index("kfac"), 0)
    assert words
    assert "kfac, 5 % of the linear weights" in words[0]
    assert "accuracy .79" in words[0]
    assert "95 %: −." in words[0]


def test_a_mouse_that_moves_over_a_point_shows_its_label(browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    browser.show()
    panel = browser.all(".plot")[0]
    browser.run("arguments[0].scrollIntoView({block: 'center'})", panel)
    point = panel.find_element("css selector", ".scatterlayer .point")
    ActionChains(browser.driver).move_to_element(point).perform()
    label = "return document.querySelector('.hoverlayer text')?.textContent ?? ''"
    assert "of the linear weights" in browser.run(label)


def test_a_hostile_name_is_a_text_everywhere(browser: Browser) -> None:
    browser.show()
    legend = browser.find(f".legend li:nth-child({len(METHODS)})")
    assert legend.text == HOSTILE
    assert HOSTILE in browser.find("main").get_attribute("textContent")
    words = browser.run(TO_POINT, browser.all(".plot")[0], METHODS.index(HOSTILE), 0)
    assert words[0].startswith(HOSTILE[:47]), "plotly shows it as it stands, cut"
    labels = browser.run(
        "return [...document.querySelectorAll('.plot .scatterlayer text')].map((one) => one.textContent)"
    )
    assert any(label.startswith(HOSTILE.rpartition("/")[2][:19]) for label in labels)
    assert browser.all("img, svg a, .hoverlayer b") == []


def test_a_method_is_hidden_and_shown_in_every_panel(browser: Browser) -> None:
    browser.show()
    plots = "[...document.querySelectorAll('#figure-1 .plot')]"
    lines = f"return {plots}.map((plot) => plot.querySelectorAll('.js-line').length)"
    assert browser.run(lines) == [len(METHODS)] * 3
    button = browser.find(".legend button")
    for pressed, count in (("false", len(METHODS) - 1), ("true", len(METHODS))):
        button.click()
        assert button.get_attribute("aria-pressed") == pressed
        assert browser.run(lines) == [count] * 3


def test_another_model_is_chosen_from_the_list(browser: Browser) -> None:
    from selenium.webdriver.support.select import Select

    browser.show()
    figure = browser.find("figure:has(select)")
    plot, chosen = figure.find_element("css selector", ".plot"), Select(figure.find_element("css selector", "select"))
    texts = "return [...arguments[0].querySelectorAll('.heatmap-label text')].map((text) => text.textContent)"
    assert sorted(browser.run(texts, plot)) == ["4", "4", "4", "5", "5", "dense"]
    chosen.select_by_index(1)
    assert sorted(browser.run(texts, plot)) == ["4", "4", "4", "5", "5", "dense"]
    assert plot.get_attribute("aria-label").endswith(f"Shown: {chosen.first_selected_option.text}.")
    chosen.select_by_index(0)
    assert plot.get_attribute("aria-label").count("Shown:") == 1


def test_a_command_is_copied(browser: Browser) -> None:
    browser.show()
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    button = browser.find(".copy")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    assert browser.run("return window.copied") == "fwsvd-export sweep dense -o sweep"
    assert button.text == "Copied"
    browser.run("navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }")
    browser.all(".copy")[1].click()
    assert browser.run("return getSelection().toString()") == "fwsvd-export compress dense small --ratio 0.1"


def test_rows_that_are_folded_are_shown_on_demand(browser: Browser) -> None:
    browser.show()
    folded = browser.find("details")
    assert not folded.find_element("css selector", "table").is_displayed()
    folded.find_element("css selector", "summary").click()
    assert folded.find_element("css selector", "table").is_displayed()
