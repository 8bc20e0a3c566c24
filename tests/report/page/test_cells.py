"""What was not measured is empty, and a column of it is left out."""

from __future__ import annotations

from fwsvd_export.report.page import cells
from fwsvd_export.report.page.parts import Cell


def test_empty_columns_are_left_out_with_their_cells() -> None:
    rows = [(Cell("a"), cells.EMPTY, cells.metric_cell(0.5)), (Cell("b"), cells.EMPTY, cells.EMPTY)]
    found = cells.table("Title", [*cells.texts("name", "nothing"), *cells.numbers("metric")], rows, folded=True)
    assert [column.title for column in found.columns] == ["name", "metric"]
    assert [[cell.text for cell in row] for row in found.rows] == [["a", ".5000"], ["b", ""]]
    assert (found.note, found.folded) == ("", True)


def test_cells_are_sorted_by_their_values_and_not_by_their_words() -> None:
    assert cells.parameters_cell(14_750_978) == Cell("14.8 M", order=14_750_978)
    assert cells.range_cell(-0.03, 0.01, signs=True) == Cell("−.0300 to +.0100", order=-0.03)
    assert cells.bytes_cell(59_000_000) == Cell("59.0 MB", order=59_000_000)
    none = (cells.metric_cell, cells.signed_cell, cells.share_cell, cells.bytes_cell, cells.count_cell, cells.loss_cell)
    assert all(cell(None) == cells.EMPTY for cell in none)
    assert cells.range_cell(None, 1.0) == cells.decimal_cell(None) == cells.EMPTY
