"""Encoded texts on disk are the rows that they were, and leave no file behind."""

from __future__ import annotations

import gc
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.data.stored_rows import StoredRows
from fwsvd_export.errors import OutputError

ROW = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4)


@given(parts=st.lists(st.lists(ROW, max_size=3), max_size=3), data=st.data())
def test_rows_are_those_that_were_stored(parts: list[list[list[int]]], data: st.DataObject) -> None:
    rows = [[{"input_ids": ids, "token_type_ids": [1] * len(ids)} for ids in part] for part in parts]
    flat = [row for part in rows for row in part]
    stored = StoredRows(rows)
    assert list(stored) == flat == stored[:]
    assert stored.lengths.tolist() == [len(row["input_ids"]) for row in flat]
    places = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=4)) if flat else []
    assert list(stored.select(places).select(range(len(places)))) == [flat[place] for place in places]


def test_the_file_lives_as_long_as_any_choice_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chosen = StoredRows([[{"input_ids": [3, 4]}, {"input_ids": [5]}]]).select([1])
    gc.collect()
    assert [folder.name.startswith("fwsvd-export-tokens-") for folder in tmp_path.iterdir()] == [True]
    assert chosen[0] == {"input_ids": [5]}
    del chosen
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(
            OutputError, match=r"no space left while writing .*tokens-.*; the environment variable TMPDIR"
        ):
            StoredRows([[{"input_ids": [7] * 3000}]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
