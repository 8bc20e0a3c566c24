"""Every record that is a file reads what it writes, and refuses a later format by name."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from fwsvd_export.benchmark.result import BenchResult
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.result import Evaluation
from fwsvd_export.export.record import ExportRecord
from fwsvd_export.report.losses import RecordedLosses
from fwsvd_export.storage.json_record import JsonRecord
from fwsvd_export.sweep.result import SweepResult
from fwsvd_export.training.record import TrainingRecord

RECORDS = (BenchResult, Evaluation, ExportRecord, RecordedLosses, SweepResult, TrainingRecord)


@dataclass(frozen=True)
class Row(JsonRecord):
    rank: int
    format: int = 3
    remedy = "write it again"
    newest_format = 3


def test_what_is_written_is_what_was_read() -> None:
    assert Row.from_json(Row(8).to_json(), "row.json", DataError) == Row(8)
    assert Row(8).to_json() == {"rank": 8, "format": 3}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rank": 8, "format": 4}, r"row.json has format 4, this version reads 3; .*write it again"),
        ({"rank": "8"}, "row.json: rank is '8', a whole number is needed; write it again"),
        ({}, "row.json has no rank; write it again"),
    ],
)
def test_what_does_not_fit_ends_with_the_remedy(document: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        Row.from_json(document, "row.json", DataError)


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_a_remedy_and_a_format_where_it_writes_one(record: type[JsonRecord]) -> None:
    names = {field.name for field in fields(record)}  # type: ignore[arg-type]
    assert record.remedy
    assert ("format" in names) is (record.newest_format > 0)
    assert names.isdisjoint({"remedy", "newest_format"})
