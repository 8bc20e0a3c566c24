"""Names from outside as Markdown that shows them and does nothing else."""

from __future__ import annotations

import re
import unicodedata

# What starts emphasis, code, links, HTML, table cells, references or entities
_SPECIAL = re.compile(r"[\\`*_\[\]|~]")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def one_line(text: object) -> str:
    """The text in one line, without characters that steer a terminal or the direction of writing."""
    visible = "".join(c if c.isspace() or unicodedata.category(c)[0] != "C" else " " for c in str(text))
    return " ".join(visible.split())


def plain(text: object) -> str:
    """The text as running words: no markup, no HTML, no entity in it takes effect."""
    escaped = "".join(_HTML.get(character, character) for character in one_line(text))
    return _SPECIAL.sub(lambda found: "\\" + found[0], escaped)


def code(text: object) -> str:
    """The text as a code span, also in a table cell."""
    # No escape works in a code span, but in a table the backslash before a | is taken away first
    line = one_line(text).replace("|", "\\|")
    if not line:
        return ""
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{edge}{line}{edge}{ticks}"


def block(text: str, language: str) -> str:
    """A fenced block that no backticks in the text can end."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"
