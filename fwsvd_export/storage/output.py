"""Outputs that appear atomically: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from fwsvd_export.errors import OutputError, OutputWarning
from fwsvd_export.storage.signals import signals_deferred
from fwsvd_export.storage.temporary import RANDOM, abandoned_folders, temporary_folder

# What an operating system says when a disk, a quota or a file-size limit is full.
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
# … when there is something at a place that a rename or a link does not replace.
_OCCUPIED = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}
# … when a file system cannot give a file a second name.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_TORCH_CUT_OFF = "unexpected pos"  # what torch's writer of archives says of a file that is shorter than it wrote
_ASIDE = ".old"  # behind the name of an output that is being replaced, inside the temporary folder


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses an output that exists (an empty folder does not count) unless ``overwrite``.

    What killed runs have left of this output is removed first, with an ``OutputWarning``; an earlier output that one of
    them was replacing is put back.

    Raises:
        OutputError: it exists, it is ``.`` or ``..``, or its parent is not a folder.
    """
    if path.name in ("", ".."):
        raise OutputError(f"{path} cannot be replaced while it is in use; give the output a name of its own")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    _clear_what_killed_runs_left(path)
    if not overwrite and _is_occupied(path):
        raise OutputError(f"{path} exists already; choose another name or give --overwrite")


def _is_occupied(path: Path) -> bool:
    """Whether there is a file, or a folder with anything in it; another run may be replacing it at this moment."""
    try:
        return any(path.iterdir())
    except NotADirectoryError:
        return True
    except FileNotFoundError:
        return False


@contextmanager
def atomic_output(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A path of the same name in a temporary sibling folder; whatever is made there (a file or a folder) moves whole.

    When the block raises, an interrupt included, nothing is left behind. Of two runs with the same output, the one that
    is done last fails, or with ``overwrite`` replaces the other's.

    Raises:
        OutputError: ``path`` exists already, before the work or after it, cannot be written, or the disk is full.
    """
    check_output(path, overwrite)
    with ExitStack() as stack:
        try:
            sibling = stack.enter_context(temporary_folder(_partial(path), path.absolute().parent))
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
        with full_disk_reported(path, "nothing was kept"):
            yield sibling / path.name
            _give_usual_modes(sibling / path.name)
            with signals_deferred():
                _replace(sibling / path.name, path, overwrite)


@contextmanager
def full_disk_reported(path: Path, kept: str) -> Iterator[None]:
    """Turns what libraries raise when a disk is full into one sentence.

    Args:
        path: that is written.
        kept: what became of it, for the sentence.

    Raises:
        OutputError: the disk, the quota or the limit of file sizes is full.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if _disk_is_full(error):
            raise OutputError(
                f"no space left while writing {path}; {kept}: free some space or choose another disk"
            ) from error
        raise


def _partial(path: Path) -> str:
    """What the names of an output's temporary folders begin with."""
    return f".{path.name}.partial-"


def _clear_what_killed_runs_left(path: Path) -> None:
    names = re.compile(re.escape(_partial(path)) + RANDOM)
    for folder in abandoned_folders(names, path.absolute().parent):
        aside = folder / f"{path.name}{_ASIDE}"
        if os.path.lexists(aside) and not os.path.lexists(path):
            aside.rename(path)
            warnings.warn(f"Put {path} back, which a run that was killed was replacing.", OutputWarning, stacklevel=3)
        warnings.warn(f"Removed {folder}, left by a run that was killed.", OutputWarning, stacklevel=3)


def _disk_is_full(error: BaseException) -> bool:
    """Whether an error, or the text of safetensors' or torch's own, means that nothing more can be written."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    if isinstance(error, RuntimeError):
        return _TORCH_CUT_OFF in str(error)
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


def _replace(source: Path, target: Path, overwrite: bool) -> None:
    """Renames a file or folder into place, whatever other runs do there in the meantime.

    Raises:
        OutputError: something is there, and ``overwrite`` is False.
    """
    aside = source.with_name(f"{source.name}{_ASIDE}")
    try:
        while not _moved(source, target, overwrite):
            if not overwrite:
                raise OutputError(
                    f"{target} exists already: another run wrote it while this one worked, and nothing of this one was "
                    "kept; choose another name or give --overwrite"
                )
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(FileNotFoundError):  # another run has just set it aside
                target.rename(aside)
    except OSError:
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        raise


def _moved(source: Path, target: Path, overwrite: bool) -> bool:
    """Whether a rename has put it in place in one step; False when it does not replace what is there."""
    try:
        if source.is_dir():
            source.rename(target)  # where nothing is, or an empty folder
        elif overwrite:
            source.replace(target)
        else:
            _link(source, target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return False
    return True


def _link(source: Path, target: Path) -> None:
    """Gives a file its name where nothing is, or an empty folder; a rename would replace a file without a word."""
    if target.is_dir():
        with suppress(OSError):
            target.rmdir()
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # takes the name, or raises
        source.replace(target)
