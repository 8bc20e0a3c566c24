"""Requests to end (SIGTERM, SIGHUP) end a command as Ctrl-C does: what was half made is removed on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from fwsvd_export.storage.signals import ENDING


class Ended(KeyboardInterrupt):
    """A request to end has come; everything that lets Ctrl-C through lets this through.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ending_by_exception() -> Iterator[None]:
    """Inside the block a request to end raises ``Ended``, where it would have ended the process at once.

    A signal that is ignored (SIGHUP under nohup) or that somebody else handles stays as it is.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # the only one that may set handlers
            for number in ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    stack.callback(signal.signal, number, signal.SIG_DFL)
                    signal.signal(number, _raise)
        yield


def _raise(number: int, frame: FrameType | None) -> None:
    raise Ended(number)


def signal_of(stop: KeyboardInterrupt) -> signal.Signals:
    """The signal behind an interrupt."""
    return signal.Signals(stop.number if isinstance(stop, Ended) else signal.SIGINT)
