"""A row that a reader refuses stops the run, or is left out and counted."""

from __future__ import annotations

import pytest

from fwsvd_export.data.rows import Rows
from fwsvd_export.data.usable import Usable, read_usable
from fwsvd_export.errors import DataError, RowError

ROWS = Rows([None] * 5, "rows.csv", range(1, 6))


def odd(index: int) -> int:
    if index % 2 == 0:
        raise RowError(f"{ROWS.place(index)}: this is even", "even" if index else "zero")
    return 10 * index


def test_rows_that_are_refused_are_left_out_and_counted_by_reason() -> None:
    found = read_usable(ROWS, odd, "skip")
    assert found == Usable([10, 30], [1, 3], {"zero": 1, "even": 2}, "rows.csv, row 1: this is even")


def test_the_first_one_stops_the_run_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"^rows.csv, row 1: this is even; correct it, or .* --on-bad-row skip$"):
        read_usable(ROWS, odd, "stop")


def test_nothing_left_is_an_error_where_it_is_asked_for() -> None:
    one = Rows([None], "rows.csv", range(1, 2))
    with pytest.raises(DataError, match=r"^no row of rows.csv can be used \(1 row\), .* the first: rows.csv, row 1"):
        read_usable(one, odd, "skip").checked(one)
    assert read_usable(ROWS, odd, "skip").checked(ROWS).found == [10, 30]
