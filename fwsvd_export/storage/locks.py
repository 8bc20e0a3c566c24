"""Advisory locks between processes: the operating system ends them with the process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def lock(descriptor: int, wait: bool) -> None:
    """Takes the lock of an open file; closing the file gives it back.

    Args:
        descriptor: of the file.
        wait: until whoever holds it has given it back.

    Raises:
        BlockingIOError: another holds it, and ``wait`` is False.
        OSError: the file system, or the operating system, has no such locks.
    """
    try:
        import fcntl  # late: Windows has none
    except ModuleNotFoundError as error:
        raise OSError("this operating system has no flock") from error
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lets one process at a time into blocks of the same folder; the others wait.

    Where the file system has no locks on folders (NFS), nobody waits.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
