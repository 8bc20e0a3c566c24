"""Signals that end a run, put off while a step on disk is done that must not stop half-way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

# What a terminal, a shell, a scheduler or another program sends to end a run; Windows has no SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Puts off Ctrl-C and requests to end until the block is done; then the first one acts as it would have.

    Signals that are ignored stay so. In any other thread than the main one nothing is put off: Python's handlers run
    in the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    def act() -> None:
        if arrived:
            signal.raise_signal(arrived[0])

    with ExitStack() as stack:
        stack.callback(act)  # last, when all handlers are back
        for number in ENDING:
            handler = signal.getsignal(number)
            if callable(handler) or handler is signal.SIG_DFL:  # neither ignored nor another language's
                stack.callback(signal.signal, number, handler)
                signal.signal(number, note)
        yield
