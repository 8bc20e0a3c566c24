"""The folder from which a training run that was killed goes on.

Transformers' Trainer writes a folder per evaluation into it: weights, the optimizer's moments, the schedule, random
states. Some of these files are torch archives, which the Trainer reads with ``weights_only``; they stay on this machine
and are removed when the run is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.errors import TrainingError
from fwsvd_export.runtime.processes import is_main_process
from fwsvd_export.storage.json_files import read_json, write_json
from fwsvd_export.storage.locks import lock
from fwsvd_export.storage.output import atomic_output, full_disk_reported

MADE_FROM = "made_from.json"
COMPLETE = "complete"  # in a checkpoint's folder once it is whole: a kill can come in the middle of writing it
_LOG = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class TrainingState:
    """The state of one run; make it with ``training_state``.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; broken ones are removed."""
        steps = [int(found[1]) for path in self.folder.iterdir() if (found := _CHECKPOINT.fullmatch(path.name))]
        checkpoints = [self.folder / f"checkpoint-{step}" for step in sorted(steps)]
        whole = [checkpoint for checkpoint in checkpoints if (checkpoint / COMPLETE).is_file()]
        for broken in set(checkpoints) - set(whole):
            if is_main_process():
                shutil.rmtree(broken)
        return whole[-1] if whole else None

    def keep(self, newest: int, best: int) -> None:
        """Says that the checkpoint of a step is whole, and removes all others but the best.

        Each loses what says that it is whole before anything else, as a kill can come in the middle.
        """
        kept = [self.folder / f"checkpoint-{step}" for step in (newest, best)]
        (kept[0] / COMPLETE).touch()
        for path in self.folder.iterdir():
            if _CHECKPOINT.fullmatch(path.name) and path not in kept:
                (path / COMPLETE).unlink(missing_ok=True)
                shutil.rmtree(path)


@contextmanager
def training_state(folder: Path, made_from: dict[str, Any], *, anew: bool = False) -> Iterator[TrainingState]:
    """The state folder of one run, locked inside the block and removed when it ends without an error.

    Args:
        folder: made where it is missing; its parent is there.
        made_from: everything that the trained weights depend on, JSON-ready; a run is continued only with the same.
        anew: remove the state of a run that was made from something else, in place of an error.

    Raises:
        TrainingError: the folder holds the state of another run, or one is going on in it.
    """
    if not is_main_process():
        yield TrainingState(folder)
        return
    folder.mkdir(exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        _take(held, folder)
        _check_same(folder, made_from, anew)
        with full_disk_reported(folder, "what was whole is kept to go on from"):
            yield TrainingState(folder)
        _empty(folder)
        folder.rmdir()
    finally:
        os.close(held)


def trainer_log(checkpoint: Path) -> list[dict[str, Any]]:
    """What the Trainer had logged when it wrote a checkpoint."""
    # Our own run wrote it; the norm of a gradient that overflowed is infinite in it, which other records refuse
    state = json.loads((checkpoint / _LOG).read_text(encoding="utf-8"))
    return list(state["log_history"])


def _take(held: int, folder: Path) -> None:
    try:
        lock(held, wait=False)
    except BlockingIOError:
        raise TrainingError(
            f"another run is training in {folder} now; wait until it is done, or give the output another name"
        ) from None
    except OSError:  # a file system without locks: nobody can tell
        return


def _check_same(folder: Path, made_from: dict[str, Any], anew: bool) -> None:
    """Remembers what a run is made from, or compares it with what the folder remembers."""
    place = folder / MADE_FROM
    if place.is_file():
        found = read_json(place, remedy=f"remove {folder} to start anew")
        differing = sorted(name for name in {*found, *made_from} if found.get(name) != made_from.get(name))
        if not differing:
            return
        if not anew:
            raise TrainingError(
                f"{folder} holds a run that was killed, with another {', '.join(differing)}; give the same command to "
                "continue it, or --overwrite to start anew"
            )
    _empty(folder)
    with atomic_output(place) as file:
        write_json(file, made_from)


def _empty(folder: Path) -> None:
    """Removes what a state folder holds, what it was made from first: what is left by a kill then belongs to no run."""
    (folder / MADE_FROM).unlink(missing_ok=True)
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
