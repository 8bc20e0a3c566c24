"""Encoded texts that are kept on disk: a file of token ids is mapped into memory, and pages come when they are read."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.storage.output import full_disk_reported
from fwsvd_export.storage.temporary import scratch_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KIND = np.dtype(np.int32)


class StoredRows(Sequence[Mapping[str, Any]]):
    """Encoded texts, of which every input has a number per token; used as a list of such rows.

    The file is removed when nothing refers to the rows any more, and when the process ends.

    Args:
        parts: lists of rows that all have the same inputs.

    Attributes:
        lengths: tokens of every row, int64.

    Raises:
        OutputError: the disk of temporary files is full.

    Example:
        >>> rows = StoredRows([[{"input_ids": [5, 6, 7]}], [{"input_ids": [8]}]])
        >>> rows[1], rows.select([1, 0])[1], rows.lengths.tolist()
        ({'input_ids': [8]}, {'input_ids': [5, 6, 7]}, [3, 1])
    """

    def __init__(self, parts: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        self._file = _File(parts)
        self._starts = np.concatenate([[0], np.cumsum(self._file.lengths)])[:-1]
        self.lengths = self._file.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        start = self._starts[place]
        tokens = self._file.tokens[start : start + self.lengths[place]]
        return dict(zip(self._file.names, tokens.T.tolist(), strict=True))

    def select(self, places: Sequence[int]) -> StoredRows:
        """The rows at some places, in the same file."""
        chosen = object.__new__(StoredRows)
        chosen._file = self._file
        where = np.asarray(places, dtype=np.int64)
        chosen._starts, chosen.lengths = self._starts[where], self.lengths[where]
        return chosen


class _File:
    """A temporary file of token ids, (tokens, inputs) int32, and how many of them each row has."""

    def __init__(self, parts: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        self.names: list[str] = []
        lengths = array("q")
        with ExitStack() as stack:
            folder = stack.enter_context(scratch_folder("tokens"))
            with full_disk_reported(folder, "the environment variable TMPDIR names another place"):
                self._write(folder / "tokens", parts, lengths)
            self._end = weakref.finalize(self, stack.pop_all().close)
        self.lengths: NDArray[np.int64] = np.array(lengths, dtype=np.int64)
        flat = np.memmap(folder / "tokens", dtype=_KIND, mode="r") if lengths else np.empty(0, dtype=_KIND)
        self.tokens: NDArray[np.int32] = flat.reshape(-1, max(1, len(self.names)))

    def _write(self, place: Path, parts: Iterable[Sequence[Mapping[str, Any]]], lengths: array[int]) -> None:
        with place.open("wb") as stream:
            for rows in parts:
                for row in rows:
                    self.names = self.names or list(row)
                    stream.write(np.array([row[name] for name in self.names], dtype=_KIND).T.tobytes())
                    lengths.append(len(row[IDS]))
