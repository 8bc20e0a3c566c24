from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fwsvd_export.runtime.progress import Advance, silent, tracked


def test_silence_takes_steps_and_notes_and_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with silent("solving", 2) as advance:
        advance()
        advance("loss so far 1")
    assert capfd.readouterr() == ("", "")


def test_tracked_items_are_the_same_and_a_step_follows_each() -> None:
    seen: list[object] = []

    @contextmanager
    def noted(what: str, total: int) -> Iterator[Advance]:
        def advance(note: str = "") -> None:
            seen.append(f"step{note}")

        seen.append((what, total))
        yield advance
        seen.append("end")

    for item in tracked(iter("ab"), 2, "reading", noted):
        seen.append(item)
    assert seen == [("reading", 2), "a", "step", "b", "step", "end"]
