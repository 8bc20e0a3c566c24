"""Batches know what became of the rows that they were read from."""

from __future__ import annotations

from collections.abc import Callable

from fwsvd_export.data.read_batches import ReadBatches
from tests.data.sentences import ROWS


def test_rows_that_were_cut_or_left_out_are_counted(load: Callable[..., ReadBatches]) -> None:
    batches = load([*ROWS, {"sentence": "", "label": 0}], max_length=6, on_bad_row="skip")
    assert (batches.reading.rows, batches.reading.left_out, batches.examples) == (7, 1, 6)
    longer = sum(len(row["sentence"].split()) > 4 for row in ROWS)  # two special tokens
    assert batches.reading.cut >= longer > 0
