"""How long work tells of its progress: a context that hands out a function to call after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

Item = TypeVar("Item")
# (what is being done, number of steps) -> a context whose value is called once per step
Steps = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows nothing."""
    yield lambda: None


def tracked(items: Iterable[Item], total: int, what: str, steps: Steps) -> Iterator[Item]:
    """The same items, one step each."""
    with steps(what, total) as advance:
        for item in items:
            yield item
            advance()
