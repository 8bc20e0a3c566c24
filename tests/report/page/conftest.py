"""A real browser over a real page, one per module of tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.write import write_page
from tests.report.page.results import HOSTILE, write_all

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
METHODS = ("svd", "fwsvd", "activation", "kfac", HOSTILE)
HEIGHT = 900  # pixels of the window
FITS = """
const done = arguments[0];
const fits = () => [...document.querySelectorAll('.plot')].every((plot) =>
  Math.abs(plot.querySelector('svg.main-svg').getBoundingClientRect().width - plot.clientWidth) <= 1);
const look = (times) => fits() || !times ? done(fits()) : setTimeout(look, 100, times - 1);
look(150);
"""


class Browser:
    """A page in Chromium: its width, its theme, and what it did.

    Args:
        driver: selenium's.
        page: the HTML file.
    """

    def __init__(self, driver: Any, page: Path) -> None:
        self.driver = driver
        self.page = page

    def load(self) -> None:
        """Loads the page; what it asks for and says is kept until ``requests`` and ``console`` are called."""
        self.requests()
        self.console()
        self.driver.get(self.page.as_uri())

    def show(self, width: int = 1280, theme: str = "light") -> None:
        """Gives the page a width and a theme, and waits until its figures are as wide as their places."""
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.theme(theme)
        assert self.driver.execute_async_script(FITS), "figures keep another width than their places have"

    def theme(self, name: str) -> None:
        """Tells the page that the system is light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script gives; it may return a promise."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        """The first element."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """Every element."""
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def console(self) -> list[str]:
        """Messages since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since the last call, itself included."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [found["request"]["url"] for found in sent if found["documentURL"] == self.page.as_uri()]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A page of all kinds of folders, with hostile names, in Chromium."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        # make brings Python packages alone; .ci/run installs the browser first, and says so where it cannot
        pytest.skip("needs a browser, which no Python package brings: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the extra dev")
    folder = tmp_path_factory.mktemp("browser")
    write_page(build_page(write_all(folder, small=HOSTILE, methods=METHODS)), folder / "page.html")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        browser = Browser(driver, folder / "page.html")
        browser.load()
        yield browser
    finally:
        driver.quit()
