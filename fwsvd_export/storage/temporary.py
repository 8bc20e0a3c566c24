"""Temporary folders, each locked while its run lives: what a killed run left can be told and removed, nothing else."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fwsvd_export.errors import OutputWarning
from fwsvd_export.storage.locks import lock
from fwsvd_export.storage.signals import signals_deferred

RANDOM = "[a-z0-9_]{8}"  # what tempfile appends to a prefix, as a pattern
_SCRATCH = "fwsvd-export-"


@contextmanager
def temporary_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A new folder that only this user can read, removed with all that is in it when the block ends.

    It holds a lock file from the start, named like the folder and ending in ``.lock``.

    Raises:
        OSError: it cannot be made.
    """
    with ExitStack() as stack:
        with signals_deferred():
            folder, held = _made(prefix, parent)
            stack.callback(_remove, folder, held)
        yield folder


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A temporary folder where the system keeps such (``TMPDIR``), after removing what killed runs left there.

    Args:
        purpose: one word that becomes part of its name.
    """
    parent = Path(tempfile.gettempdir())
    for folder in abandoned_folders(re.compile(f"{_SCRATCH}[a-z]+-{RANDOM}"), parent):
        warnings.warn(f"Removed {folder}, temporary data of a run that was killed.", OutputWarning, stacklevel=2)
    with temporary_folder(f"{_SCRATCH}{purpose}-", parent) as folder:
        yield folder


def abandoned_folders(names: re.Pattern[str], parent: Path) -> Iterator[Path]:
    """Folders that runs of this user, ended by now, made with ``temporary_folder``; each is removed after its turn.

    A folder whose run lives is passed by, and so is every folder where the file system has no locks.

    Args:
        names: a pattern of the whole name.
        parent: where to look.
    """
    for folder in sorted(parent.iterdir()):
        if names.fullmatch(folder.name) and (held := _taken_over(folder)) is not None:
            try:
                yield folder
            finally:
                _remove(folder, held)


def _made(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder and its open, locked lock file."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        file = _lock_file(folder)
        try:
            held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:  # a full disk
            folder.rmdir()
            raise
        with suppress(OSError):  # without locks nobody will take the folder for abandoned
            lock(held, wait=True)
        if _is_at(held, file):
            return folder, held
        os.close(held)  # another run saw the lock file before it was locked, and has removed the folder


def _taken_over(folder: Path) -> int | None:
    """The lock file of a folder whose run has ended, open and locked; None when it lives or the folder is not ours."""
    try:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
            return None
        file = _lock_file(folder)
        held = os.open(file, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    with suppress(OSError):
        lock(held, wait=False)
        if _is_at(held, file):
            return held
    os.close(held)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock_file(folder: Path) -> Path:
    return folder / f"{folder.name}.lock"


def _remove(folder: Path, held: int) -> None:
    with signals_deferred():
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
