"""Pictures that say what they were drawn from, so that a test sees when a committed one is out of date."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot
from PIL import Image

matplotlib.use("Agg")
_ENTRY = "Drawn from"  # of the PNG's texts
DOTS_PER_INCH = 180  # sharp at twice the width of a page


def save(figure: Any, path: Path, data: Any) -> None:
    """Writes a figure as PNG, with the digest of what was drawn, and closes it.

    Args:
        figure: of matplotlib.
        path: of the PNG.
        data: what was drawn, as JSON values.
    """
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={_ENTRY: digest(data), "Software": None})
    pyplot.close(figure)


def drawn_from(path: Path) -> str | None:
    """The digest that a picture holds; None for one that was not written by ``save``."""
    with Image.open(path) as picture:
        return picture.info.get(_ENTRY)


def digest(data: Any) -> str:
    """SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
