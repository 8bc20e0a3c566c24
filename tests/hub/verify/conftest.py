"""What the tests of verification share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Leaves the fresh process out; the Auto classes that it would have been started for."""
    asked: list[str] = []

    def check_loading(folder: Path, auto_class: str) -> list[Any]:
        asked.append(auto_class)
        return []

    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", check_loading)
    return asked


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts another program in the place of the one that loads."""

    def put(text: str) -> None:
        (tmp_path / "program.py").write_text(text)
        monkeypatch.setattr("fwsvd_export.hub.verify.clean_environment._PROGRAM", tmp_path / "program.py")

    return put
