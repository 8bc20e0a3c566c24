"""Signals wait for the end of a block that must not stop half-way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from fwsvd_export.storage.signals import ENDING, signals_deferred


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """What a handler of ours is called with, for every signal that ends a run."""
    numbers: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_acts_when_the_block_is_done_and_once(number: int, seen: list[int]) -> None:
    with signals_deferred():
        with signals_deferred():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        assert seen == []
    assert seen == [number]
    os.kill(os.getpid(), number)
    assert seen == [number, number]


def test_ctrl_c_is_raised_after_the_block_even_if_it_fails() -> None:
    done = []

    def work(fail: bool) -> None:
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the block")
            if fail:
                raise OSError("full")

    with pytest.raises(KeyboardInterrupt):
        work(fail=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        work(fail=True)
    assert len(done) == 2
    assert isinstance(caught.value.__context__, OSError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored(seen: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals_deferred():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert seen == []


def test_another_thread_changes_no_handlers(seen: list[int]) -> None:
    found = []

    def work() -> None:
        with signals_deferred():
            found.append(signal.getsignal(signal.SIGTERM))

    expected = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [expected]
