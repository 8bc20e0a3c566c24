"""The folder of a sweep: what is done, keyed by what it was made from, and shared by all processes that work on it.

::

    sweep.json                       what all cells have in common
    cells/KEY.json                   one row of the result each, written when it is done
    statistics/KEY/kfac.safetensors  of one choice of calibration rows, a file per collection
    starts/KEY/                      a compressed model while cells that train it are to be made
    models/NAME/                     the models themselves, where they are to be kept
    work/KEY/                        what a cell that is being made leaves to go on from
    results.json, …                  all rows that are done
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fwsvd_export.errors import SweepError
from fwsvd_export.storage.json_files import read_json, write_json
from fwsvd_export.storage.locks import exclusive, lock
from fwsvd_export.storage.output import atomic_output, check_output
from fwsvd_export.storage.schema import Count, Line, check_format, read_as, to_builtins
from fwsvd_export.sweep.result import SweepResult, SweepRow

SUBJECT_FILE = "sweep.json"
RESULTS_FILE = "results.json"
SUBJECT_FORMAT = 1
_AGAIN = "delete the file, and what it said is worked out again"
_OTHER_FOLDER = "give another folder with -o"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What all cells of a folder have in common: the model, and the data that its task is measured on.

    Attributes:
        model: its name.
        base: digest of the model.
        task: name of the preset.
        reading: digest of how rows become examples.
        data: name of the data.
        rows: digest of its rows, those that are held out left out.
        validation: name of the data that is measured on.
        held_out: digest of its rows.
    """

    format: Count = SUBJECT_FORMAT
    model: Line
    base: Line
    task: Line
    reading: Line
    data: Line
    rows: Line
    validation: Line
    held_out: Line

    def check(self, other: Subject, folder: Path) -> None:
        """Refuses a folder that holds the sweep of something else.

        Raises:
            SweepError: ``other``, which is asked for now, differs; the sentence says in what.
        """
        for what, name, digest in (
            ("model", "model", "base"),
            ("task, columns or lengths", "task", "reading"),
            ("validation data", "validation", "held_out"),
            ("data", "data", "rows"),
        ):
            there, now = ((getattr(one, name), getattr(one, digest)) for one in (self, other))
            if there[1] != now[1]:
                raise SweepError(
                    f"{folder} holds the sweep of another {what}: {there[0]} ({there[1][:12]}…), and this one is of "
                    f"{now[0]} ({now[1][:12]}…); {_OTHER_FOLDER}, or repeat what that sweep was given"
                )


class SweepStore:
    """The folder; several processes may have it open at one time.

    Args:
        folder: new, empty, or of an earlier sweep of the same subject.
        subject: what all cells have in common.

    Raises:
        SweepError: the folder holds a sweep of something else.
        OutputError: it holds other files, or cannot be written.
    """

    def __init__(self, folder: Path, subject: Subject) -> None:
        self.folder = folder
        check_folder(folder)
        folder.mkdir(exist_ok=True)
        with exclusive(folder):
            place = folder / SUBJECT_FILE
            if place.is_file():
                _read_subject(place).check(subject, folder)
            else:
                _write(place, to_builtins(subject))

    def has(self, key: str) -> bool:
        """Whether a cell is done."""
        return self._cell(key).is_file()

    def row(self, key: str) -> SweepRow:
        """A cell that is done."""
        place = self._cell(key)
        return read_as(SweepRow, read_json(place, SweepError, remedy=_AGAIN), str(place), SweepError, _AGAIN)

    def save(self, row: SweepRow) -> None:
        """Writes a cell under its key."""
        _made(self.folder / "cells")
        _write(self._cell(row.key), to_builtins(row))

    @contextmanager
    def claimed(self, key: str, wait: bool) -> Iterator[Path | None]:
        """The folder where one process at a time works on a cell; None where another does, and ``wait`` is False.

        What lies in it stays there when the process ends before the cell is done, and is removed when it is.
        """
        folder = self.folder / "work" / key
        descriptor = _opened(folder)
        try:
            try:
                lock(descriptor, wait)
            except BlockingIOError:
                yield None
                return
            except OSError:  # a file system without locks: nobody waits
                pass
            yield _made(folder)  # whoever had it may have removed it
            if self.has(key):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)

    def statistics(self, key: str) -> Path:
        """The folder of the statistics on one choice of rows."""
        return _made(self.folder / "statistics" / key)

    def start(self, key: str) -> Path:
        """The folder of a compressed model while cells that train it are to be made."""
        return _made(self.folder / "starts" / key)

    def model(self, name: str) -> Path:
        """Where a model is kept."""
        return _made(self.folder / "models") / name

    def tidy(self) -> None:
        """Removes what a killed run left of cells that are done, and folders that have become empty."""
        works = self.folder / "work"
        for folder in works.iterdir() if works.is_dir() else ():
            if self.has(folder.name):
                with self.claimed(folder.name, wait=False):  # it goes with its claim, unless another process has it
                    pass
        for place in (works, self.folder / "starts"):
            with suppress(OSError):  # not there, or not empty
                place.rmdir()

    def write_result(self, result: SweepResult, seconds: dict[str, float]) -> SweepResult:
        """Writes ``results.json``; returns it with the seconds of all runs.

        Args:
            result: of all cells that are done.
            seconds: by phase, that no earlier call has counted.
        """
        place = self.folder / RESULTS_FILE
        with exclusive(self.folder):
            before = dict(read_result(self.folder).seconds) if place.is_file() else {}
            total = {name: round(before.get(name, 0) + seconds.get(name, 0), 3) for name in (*before, *seconds)}
            result = replace(result, seconds=total)
            _write(place, result.to_json())
        return result

    def _cell(self, key: str) -> Path:
        return self.folder / "cells" / f"{key}.json"


def check_folder(folder: Path) -> None:
    """Refuses a folder that a sweep cannot be in; one that holds a sweep is none of these.

    Raises:
        OutputError: it holds other files, is a file, or its parent is not there.
    """
    check_output(folder, overwrite=(folder / SUBJECT_FILE).is_file())


def read_result(folder: Path) -> SweepResult:
    """The ``results.json`` of a folder.

    Raises:
        SweepError: it cannot be read.
    """
    place = folder / RESULTS_FILE
    return SweepResult.from_json(read_json(place, SweepError, remedy=_AGAIN), str(place), SweepError)


def _made(folder: Path) -> Path:
    """A folder, made with its parents, also when another process that tidies up removes one of them in between."""
    while True:
        with suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return folder


def _opened(folder: Path) -> int:
    """A folder, made and open."""
    while True:
        with suppress(FileNotFoundError):
            return os.open(_made(folder), os.O_RDONLY)


def _read_subject(place: Path) -> Subject:
    document = read_json(place, SweepError, remedy=_OTHER_FOLDER)
    check_format(document, SUBJECT_FORMAT, str(place), SweepError, _OTHER_FOLDER)
    return read_as(Subject, document, str(place), SweepError, _OTHER_FOLDER)


def _write(place: Path, content: dict[str, Any]) -> None:
    with atomic_output(place, overwrite=True) as file:
        write_json(file, content)
