"""What a compressed model inherits from the card of its base: license, languages, data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.storage.file_names import CARD_FILE

INHERITED = ("license", "license_name", "license_link", "language", "datasets")


def read_base_card(folder: Path) -> dict[str, Any]:
    """The inherited keys that the front matter of a folder's README.md has; none when there is no readable one."""
    try:
        _, values, _ = split_front_matter((folder / CARD_FILE).read_text(encoding="utf-8"))
    except Exception:  # somebody else's file: damaged front matter, wrong encodings, no file at all
        return {}
    found = {name: _texts((values or {}).get(name)) for name in INHERITED}
    return {name: value for name, value in found.items() if value}


def _texts(value: Any) -> str | list[str] | None:
    """A text or a list of texts; anything else is no value of these keys."""
    if isinstance(value, list):
        return [text for text in value if isinstance(text, str)]
    return value if isinstance(value, str) else None
