"""A page as one HTML file that loads nothing: style, scripts, figures and plotly.js, compressed, stand inside it.

Every text goes through jinja2's escaping. The figures' JSON has no character that could end its element. The policy in
the page allows its scripts, and plotly.js as the browser unpacks it, by their digests, no other one, and no connection.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fwsvd_export.errors import MissingExtraError
from fwsvd_export.hub.card.markdown import one_line
from fwsvd_export.report.page.parts import Chapter, Figure, Page
from fwsvd_export.report.page.plot import DENSE
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.wording import counted

_FOLDER = Path(__file__).parent
_SCRIPTS = ("tables.js", "plots.js")
# Plotly sets styles on what it draws, and draws heat maps as pictures that stand in the page
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {}; base-uri 'none'; form-action 'none'"
)
# What would end a script's element, or begin a comment or an entity in it -> the same in JSON
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render_html(page: Page) -> str:
    """The HTML of a page; the same page gives the same text.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    plotly, scripts = plotly_script(), [_file(name) for name in _SCRIPTS]
    chapters, figures = _numbered(page)
    return _template().render(
        page=page,
        chapters=chapters,
        policy=_POLICY.format(" ".join(map(_digest, [plotly, *scripts]))),
        style=Markup(_file("style.css")),
        figures=Markup(_json(figures)),
        plotly=_packed(plotly),
        scripts=[Markup(script) for script in scripts],
        counted=counted,
        series_of=_series_of,
    )


def plotly_script() -> str:
    """The text of plotly.js, as the plotly package brings it.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingExtraError("plotly", "report") from error
    script: str = get_plotlyjs()
    return script


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, finalize=_shown
    )
    return environment.from_string(_file("page.html.jinja"))


def _shown(value: Any) -> Any:
    """Texts from outside without characters that would turn the direction of writing or break a line."""
    return one_line(value) if type(value) is str else value


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """A script as the policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _packed(script: str) -> str:
    """A script as gzip in base64, a third of its size; the same bytes every time."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _json(value: Any) -> str:
    """JSON that may stand in a script's element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _series_of(method: str) -> str:
    """The number of a method's colour in the style."""
    if method == DENSE:
        return DENSE
    return str(METHODS.index(method)) if method in METHODS else "other"


def _numbered(page: Page) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """The chapters with an id for every section and figure, and figure id -> its plots."""
    figures: dict[str, list[dict[str, Any]]] = {}

    def named(chapter: Chapter) -> Iterator[tuple[str, Figure]]:
        for section in chapter.sections:
            for figure in section.figures:
                name = f"figure-{len(figures) + 1}"
                figures[name] = [{"data": plot.data, "layout": plot.layout} for plot in figure.plots]
                yield name, figure

    chapters = []
    for number, chapter in enumerate(page.chapters, 1):
        names = named(chapter)
        sections = [
            {
                "id": f"section-{number}-{place}",
                **vars(section),
                "figures": [next(names) for _ in section.figures],
            }
            for place, section in enumerate(chapter.sections, 1)
        ]
        chapters.append({"id": f"model-{number}", **vars(chapter), "sections": sections})
    return chapters, figures
