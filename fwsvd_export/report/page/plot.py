"""What all drawings share: colours and marks of the methods, axes, texts that plotly shows as they are.

A colour is the name of a property of the style (``var(--ink)``): the page's script puts the value in, again when the
reader's system changes between light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from fwsvd_export.hub.card.markdown import one_line
from fwsvd_export.solvers.names import METHODS

INK, FAINT, GRID, SURFACE, ACCENT = (f"var(--{name})" for name in ("ink", "faint", "grid", "surface", "accent"))
CLEAR = "rgba(0,0,0,0)"
DENSE = "dense"
UNKNOWN = "compressed"  # by a method that is not told
_LONGEST_LABEL = 48  # characters of a name inside a drawing
# A mark per method beside its colour, so that no colour has to be told from another
_SYMBOLS = (
    "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "cross", "circle",
)  # fmt: skip
HEIGHT = 340  # pixels
_SMALL, _USUAL = 12, 13  # pixels of text

Trace = dict[str, Any]
Layout = dict[str, Any]


def colour(method: str) -> str:
    """A method's colour, the same in every drawing; the dense model has the ink's, an unknown method a grey."""
    if method == DENSE:
        return INK
    return f"var(--series-{METHODS.index(method) if method in METHODS else 'other'})"


def symbol(method: str) -> str:
    """A method's mark."""
    return _SYMBOLS[METHODS.index(method)] if method in METHODS else "circle-open"


def shown(text: object, longest: int = _LONGEST_LABEL) -> str:
    """A text of somebody else's that plotly shows as it stands: it takes a few tags and entities for markup.

    Example:
        >>> shown("a<b>c & d")
        'a&lt;b&gt;c &amp; d'
    """
    line = one_line(text)
    cut = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return escape(cut, quote=False).replace("%{", "%&#123;")


def hover(*lines: str) -> str:
    """Lines of a label that is shown on hover; the first is bold. Texts from outside come through ``shown``."""
    first, *others = lines
    return "<br>".join([f"<b>{first}</b>", *others])


def axis(title: str, **more: Any) -> Layout:
    """An axis with a title."""
    return {
        "title": {"text": title, "font": {"size": _USUAL}},
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": FAINT,
        "tickcolor": FAINT,
        "tickfont": {"size": _SMALL},
        "automargin": True,
        "fixedrange": True,  # or a finger that scrolls the page would zoom
        **more,
    }


def layout(x: Layout, y: Layout, *, height: int = HEIGHT, **more: Any) -> Layout:
    """The layout of one drawing."""
    return {
        "xaxis": x,
        "yaxis": y,
        "height": height,
        "autosize": True,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": _USUAL, "color": INK},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": SURFACE,
            "bordercolor": FAINT,
            "font": {"color": INK, "size": _USUAL},
            "align": "left",
            "namelength": -1,
        },
        "dragmode": False,
        **more,
    }


def legend_below() -> Layout:
    """A legend under the drawing, for marks that are not a method's."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top", "font": {"size": _SMALL}}


def spread(values: Iterable[float], around: float) -> tuple[float, float]:
    """How far values reach above and below one of them."""
    found = list(values)
    return max(found) - around, around - min(found)


def padded(values: Iterable[float], share: float = 0.08) -> list[float]:
    """A range that holds all values, with a margin; for panels that are compared with each other."""
    found = list(values)
    low, high = min(found), max(found)
    margin = share * (high - low) or share
    return [low - margin, high + margin]
