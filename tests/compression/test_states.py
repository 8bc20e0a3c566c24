"""Hidden states in memory and in a file: what is read is what was written last."""

from __future__ import annotations

import errno
import tempfile
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.compression.states import HiddenStates
from fwsvd_export.errors import DataError

SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.just(5)), min_size=1, max_size=6)


@given(SHAPES, st.integers(0, 600), st.sampled_from([torch.float32, torch.bfloat16]), st.data())
def test_a_place_holds_what_was_put_there_last(
    shapes: list[tuple[int, int, int]], budget: int, dtype: torch.dtype, data: st.DataObject
) -> None:
    expected = [torch.randn(shape).to(dtype) for shape in shapes]
    states = HiddenStates(iter(expected), most_bytes=budget)
    for place in data.draw(st.lists(st.integers(0, len(shapes) - 1), max_size=8)):
        expected[place] = torch.randn(shapes[place]).to(dtype)
        states[place] = expected[place]
    assert len(states) == len(expected)
    for found, wanted in zip(states, expected, strict=True):
        assert found.dtype == dtype
        assert torch.equal(found, wanted)


def test_states_are_made_one_at_a_time_and_no_more_than_allowed_stay_in_memory() -> None:
    held = []

    def made() -> Any:
        for place in range(10):
            state = torch.full((1, 4, 8), float(place))
            held.append(state.data_ptr())
            yield state

    states = HiddenStates(made(), most_bytes=3 * 4 * 8 * 4)
    kept = [state.data_ptr() == place for state, place in zip(states, held, strict=True)]
    assert kept[:3] == [True] * 3
    assert not any(states[place] is states[place] for place in range(3, 10)), "each reading is a new tensor"


def test_a_full_disk_is_one_sentence_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    HiddenStates([torch.ones(1, 1, 4)])  # needs no file
    with pytest.raises(DataError, match=r"No space left.*fewer texts with --max-samples, or set TMPDIR"):
        HiddenStates([torch.ones(1, 1, 4)], most_bytes=4)
