"""Outputs that appear atomically: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from fwsvd_export.errors import OutputError

# What an operating system says when a disk, a quota or a file-size limit is full.
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses an output that exists (an empty folder does not count) unless ``overwrite``.

    Raises:
        OutputError: it exists, it is ``.`` or ``..``, or its parent is not a folder.
    """
    if path.name in ("", ".."):
        raise OutputError(f"{path} cannot be replaced while it is in use; give the output a name of its own")
    occupied = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if occupied and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or give --overwrite")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")


@contextmanager
def atomic_output(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A path of the same name in a temporary sibling folder; whatever is made there (a file or a folder) moves whole.

    When the block raises, an interrupt included, nothing is left behind.

    Raises:
        OutputError: ``path`` exists already, cannot be written, or the disk is full.
    """
    check_output(path, overwrite)
    try:
        sibling = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.absolute().parent))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
    try:
        yield sibling / path.name
        _give_usual_modes(sibling / path.name)
        _replace(sibling / path.name, path)
    except (OSError, SafetensorError) as error:
        if _disk_is_full(error):
            raise OutputError(
                f"no space left while writing {path}; nothing was kept: free some space or choose another disk"
            ) from error
        raise
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def _disk_is_full(error: BaseException) -> bool:
    """Whether an error, or the text of safetensors' own, means that nothing more can be written."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    number = re.search(r"(?:code: |os error )(\d+)", str(error))  # older and newer safetensors
    return number is not None and int(number[1]) in _FULL


def _give_usual_modes(made: Path) -> None:
    """Gives files the mode of any new file here: safetensors makes its own readable by the owner alone."""
    probe = made.with_name(f"{made.name}.mode")
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    for file in made.rglob("*") if made.is_dir() else [made]:
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) != mode:
            file.chmod(mode)


def _replace(source: Path, target: Path) -> None:
    """Renames a file or folder over what is there; what a rename cannot replace is set aside first, then removed."""
    if not target.exists() or (source.is_file() and target.is_file()):
        source.replace(target)
        return
    aside = source.with_name(f"{source.name}.old")
    target.replace(aside)
    try:
        source.replace(target)
    except OSError:
        aside.replace(target)
        raise
