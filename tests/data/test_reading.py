"""What became of rows: the sentences about it, and parts of one data set together."""

from __future__ import annotations

import warnings

import pytest

from fwsvd_export.data.reading import Reading
from fwsvd_export.errors import DataWarning


def test_nothing_is_said_of_rows_that_were_used_whole() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Reading("rows.csv", 10, 128, 512).warn()


def test_parts_of_a_data_set_are_told_as_one() -> None:
    parts = [
        Reading("rows.csv", 1000, 8, 16, {"without a text": 1}, "rows.csv, row 7: empty", cut=1, longest=12),
        Reading("rows.csv", 250, 8, 16, {"without a label": 2, "without a text": 1}, "later", cut=30, longest=20),
    ]
    whole = parts[0] + parts[1]
    assert (whole.left_out, whole.cut, whole.longest) == (4, 31, 20)
    with pytest.warns(DataWarning) as caught:
        whole.warn()
    assert [str(warning.message) for warning in caught] == [
        "4 of 1,250 rows of rows.csv were left out: 2 without a text, 2 without a label; "
        "the first: rows.csv, row 7: empty.",
        "31 of 1,246 texts of rows.csv were cut at 8 tokens, the longest has 20; the model takes up to --max-length "
        "16.",
    ]


@pytest.mark.parametrize(
    ("limit", "longest", "advice"),
    [
        (128, 200, "--max-length 200 keeps all of them whole"),
        (128, 512, "--max-length 512 keeps all of them whole"),
        (128, 513, "the model takes up to --max-length 512"),
        (512, 1300, "the model takes no more than 512"),
    ],
)
def test_the_advice_keeps_to_what_the_model_takes(limit: int, longest: int, advice: str) -> None:
    with pytest.warns(DataWarning, match=f"1 of 3 texts of a was cut at {limit} tokens, the longest has .*; {advice}"):
        Reading("a", 3, limit, 512, cut=1, longest=longest).warn()
