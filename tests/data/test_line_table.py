"""JSON lines that stay in their file are the rows that a table in memory has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.data import files, line_table
from fwsvd_export.data.files import read_file
from fwsvd_export.data.json_rows import json_table
from fwsvd_export.data.line_table import LineTable
from fwsvd_export.data.table import Table
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError

CELLS = st.dictionaries(
    st.sampled_from(["text", "label", "other"]), st.text(max_size=5) | st.integers(), min_size=1, max_size=3
)


@pytest.fixture
def always_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr(line_table, "AT_ONCE", 2)


@given(rows=st.lists(CELLS, min_size=1, max_size=6), data=st.data())
def test_columns_and_choices_are_those_of_a_table(
    rows: list[dict[str, Any]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    gaps = data.draw(
        st.lists(
            st.sampled_from(["\n", "\r\n", "\n\n", "\n  \n", "\n\u00a0\n"]), min_size=len(rows), max_size=len(rows)
        )
    )
    lines = [json.dumps(row, ensure_ascii=False) + gap for row, gap in zip(rows, gaps, strict=True)]
    file.write_text("".join(lines), encoding="utf-8", newline="")
    table, whole = line_table.line_table(file), json_table(file.read_bytes().decode(), file)
    assert (table is None) == (len(rows) == 1), "one object alone may be a document"
    table = table or whole
    assert len(table) == len(whole)
    assert list(table.column_names) == whole.column_names
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    for name in whole.column_names:
        assert table[name] == whole[name]
        assert table.select(places)[name] == whole.select(places)[name]


@pytest.mark.usefixtures("always_large")
def test_a_choice_of_few_rows_is_in_memory_and_one_of_many_stays_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"sentence": "{number}"}}\n' for number in range(9)))
    table = read_file(tmp_path / "rows.jsonl", TASKS["sst2"])
    assert isinstance(table, LineTable)
    many, few = table.select(range(1, 8)), table.select(range(1, 8)).select([2, 0])
    assert isinstance(many, LineTable)
    assert isinstance(few, Table)
    assert (many["sentence"], few["sentence"]) == ([str(number) for number in range(1, 8)], ["3", "1"])
    assert table.features == {"sentence": None}


@pytest.mark.usefixtures("always_large")
@pytest.mark.parametrize(
    "content",
    ['[{"sentence": "good"}]', '{"sentence": "good"}\n', '{"sentence":\n"good"}', '\ufeff{"sentence": "good"}\n'],
)
def test_other_json_is_read_whole(content: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(content, encoding="utf-8")
    table = read_file(tmp_path / "rows.json", TASKS["sst2"])
    assert isinstance(table, Table)
    assert table["sentence"] == ["good"]


@pytest.mark.usefixtures("always_large")
def test_questions_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "who?"}\n')
    assert isinstance(read_file(tmp_path / "rows.jsonl", TASKS["squad"]), Table)


@pytest.mark.usefixtures("always_large")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"sentence": "good"', r"^rows.jsonl, row 2: this is not JSON: .* at character 20; correct it or write"),
        (b"7", r"^rows.jsonl, row 2: 7 is not an object with the columns' names and values$"),
        (b'{"sentence": "\xe9"}', r"rows.jsonl is not UTF-8 text \(byte 0xe9 in line 3\); save it as UTF-8, for Latin"),
    ],
)
def test_what_is_no_row_is_named_before_anything_is_done(line: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"sentence": "good"}\n\n' + line + b"\n")
    with pytest.raises(DataError, match=message):
        read_file(tmp_path / "rows.jsonl", TASKS["sst2"])


@pytest.mark.usefixtures("always_large")
def test_a_file_that_goes_away_is_reported(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"sentence": "good"}\n' * 3)
    table = read_file(tmp_path / "rows.jsonl", TASKS["sst2"])
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(DataError, match=r"rows.jsonl cannot be read: No such file or directory; make it readable"):
        table["sentence"]


def test_small_files_are_read_whole(write_rows: Callable[..., Path]) -> None:
    assert isinstance(read_file(write_rows([{"sentence": "good"}]), TASKS["sst2"]), Table)
