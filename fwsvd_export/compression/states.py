"""The hidden states of all calibration texts between two stages: in memory while they are few, else in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch import Tensor

from fwsvd_export.errors import DataError

MOST_BYTES = 2**27  # of one model's states in memory: 87,381 tokens that are 384 wide


@dataclass(frozen=True)
class _Stored:
    """Where a pack's states lie in the file, and what they are there."""

    start: int
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class HiddenStates:
    """A list of tensors, each of which can be replaced by one of its own shape and dtype.

    Args:
        states: (sequences, length, width) for every pack of sequences; taken one at a time.
        most_bytes: of them that are held in memory; those behind them go to a temporary file.

    Raises:
        DataError: there is no room for the file.
    """

    def __init__(self, states: Iterable[Tensor], most_bytes: int = MOST_BYTES) -> None:
        self._places: list[Tensor | _Stored] = []
        self._file: BinaryIO | None = None
        held = end = 0
        for state in states:
            size = state.numel() * state.element_size()
            if held + size <= most_bytes:
                self._places.append(state)
                held += size
            else:
                stored = _Stored(end, state.shape, state.dtype, state.device)
                self._places.append(stored)
                self._write(stored, state)
                end += size

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int) -> Tensor:
        stored = self._places[place]
        if isinstance(stored, Tensor):
            return stored
        assert self._file is not None, "what is stored has a file"
        size = stored.shape.numel() * stored.dtype.itemsize
        self._file.seek(stored.start)
        raw = torch.frombuffer(bytearray(self._file.read(size)), dtype=stored.dtype)
        return raw.reshape(stored.shape).to(stored.device)

    def __setitem__(self, place: int, state: Tensor) -> None:
        stored = self._places[place]
        if isinstance(stored, Tensor):
            self._places[place] = state
        else:
            assert (state.shape, state.dtype) == (stored.shape, stored.dtype), "a place keeps its size"
            self._write(stored, state)

    def _write(self, stored: _Stored, state: Tensor) -> None:
        try:
            if self._file is None:
                # Without a name, so that nothing is left of it however the run ends
                self._file = tempfile.TemporaryFile(prefix="fwsvd-export-")  # noqa: SIM115
            self._file.seek(stored.start)
            self._file.write(state.detach().cpu().contiguous().view(torch.uint8).numpy().data)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"the hidden states of the calibration texts do not fit into temporary files ({error.strerror}); give "
                "fewer texts with --max-samples, or set TMPDIR to a folder with more room"
            ) from error
