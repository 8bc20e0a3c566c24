"""How long work reports its progress: a context that hands out a function to call after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Advance(Protocol):
    """Called once per step, with a few words on how it stands."""

    def __call__(self, note: str = "") -> None:
        """One step further."""


# (what is being done, number of steps) -> a context whose value is called once per step
Steps = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def silent(what: str, total: int) -> Iterator[Advance]:
    """Shows nothing."""

    def advance(note: str = "") -> None:
        pass

    yield advance


def tracked(items: Iterable[Item], total: int, what: str, steps: Steps) -> Iterator[Item]:
    """The same items, one step each."""
    with steps(what, total) as advance:
        for item in items:
            yield item
            advance()
