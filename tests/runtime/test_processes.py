"""Launchers say in the environment which process this is."""

from __future__ import annotations

import pytest

from fwsvd_export.runtime.processes import is_main_process, processes


@pytest.mark.parametrize(("rank", "main"), [(None, True), ("0", True), ("1", False)])
def test_the_first_process_is_the_main_one(rank: str | None, main: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes() == 1
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert processes() == 2
    assert is_main_process() is main
