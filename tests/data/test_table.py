"""The cells of a file, column by column."""

from __future__ import annotations

from fwsvd_export.data.table import Table


def test_rows_keep_their_kinds_and_lack_what_they_do_not_have() -> None:
    table = Table.of_rows([{"text": "good", "label": 1}, {"label": "1", "note": 2.5}])
    assert table.column_names == ["text", "label", "note"]
    assert [list(table[name]) for name in table.column_names] == [["good", None], [1, "1"], [None, 2.5]]
    assert (len(table), table.features) == (2, {"text": None, "label": None, "note": None})


def test_rows_are_chosen_by_place() -> None:
    chosen = Table({"text": ["a", "b", "c"]}, header=True).select([2, 0])
    assert (list(chosen["text"]), chosen.header) == (["c", "a"], True)


def test_a_table_of_nothing_has_no_rows() -> None:
    assert len(Table({})) == len(Table.of_rows([])) == 0
