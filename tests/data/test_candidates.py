"""Pairs that are ranked query by query: what belongs together stays together, and grades are whole numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.candidates import CandidateBatches
from fwsvd_export.data.encode import load_batches, read_task_rows
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows, chosen_rows, hold_out, split_rows
from fwsvd_export.data.table import Table
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, DataWarning
from tests.conftest import save_tokenizer, write_jsonl
from tests.helpers import tiny_head

TASK = TASKS["rerank"]
SIZES = (4, 1, 3, 2, 5)  # pairs of every query


def query_of(number: int) -> str:
    """Another one for every number, in words that the tokenizer knows."""
    return "good " * number + "film"


def rows_of(sizes: Any = SIZES) -> list[dict[str, Any]]:
    texts = ("the film was great", "a dull plot", "good actors", "the cast", "a movie")
    return [
        {"query": query_of(query), "text": texts[place % 5], "label": int(place == 0)}
        for query, size in enumerate(sizes)
        for place in range(size)
    ]


def read(folder: Path, rows: Any = None, **asked: Any) -> Any:
    save_tokenizer(folder)
    file = write_jsonl(folder / "pairs.jsonl", rows_of() if rows is None else rows)
    encoder = encoder_of(tiny_head("BertForSequenceClassification", num_labels=1))
    return load_batches(DataRequest(TASK, file, **asked), AutoTokenizer.from_pretrained(folder), encoder)


def test_batches_know_the_query_of_every_pair(tmp_path: Path) -> None:
    batches = read(tmp_path, batch_size=4)
    assert isinstance(batches, CandidateBatches)
    assert [batches.queries[place] for place in sorted(batches.indices)] == [row["query"] for row in rows_of()]
    assert sum(len(batch["labels"]) for batch in batches) == sum(SIZES)


def test_a_query_of_which_one_pair_was_seen_is_left_out_whole(tmp_path: Path) -> None:
    batches = read(tmp_path)
    alone = read(tmp_path, rows_of()[4:5])
    left = batches.without(alone.token_ids)
    assert Counter(left.queries[index] for index in left.indices) == {
        query_of(query): size for query, size in enumerate(SIZES) if query != 1
    }
    assert batches.without(set()).examples == batches.examples


def test_without_labels_there_is_nothing_to_rank(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    file = write_jsonl(tmp_path / "pairs.jsonl", [{"query": "good film", "text": "a dull plot"}])
    encoder = encoder_of(tiny_head("BertForSequenceClassification", num_labels=1))
    request = DataRequest(TASK, file).without_labels()
    assert not isinstance(load_batches(request, AutoTokenizer.from_pretrained(tmp_path), encoder), CandidateBatches)


@pytest.mark.parametrize("label", [-1, 0.5, 1001, 1e300, "often"])
def test_a_label_that_is_no_grade(label: Any, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"row 2: label .* is (no grade, a whole number from 0 to 1,000|not a finite number)"
    ):
        read(tmp_path, [*rows_of()[:1], {**rows_of()[1], "label": label}])


def test_queries_without_an_answer_are_counted(tmp_path: Path) -> None:
    rows = [{**row, "label": int(row["query"] == query_of(2))} for row in rows_of()]
    with pytest.warns(DataWarning, match=r"4 of 5 queries of pairs\.jsonl have no text with a label above 0"):
        read(tmp_path, rows)
    with pytest.raises(DataError, match=r"none of the 15 pairs of pairs\.jsonl that are used answers its query"):
        read(tmp_path, [{**row, "label": 0} for row in rows])


def table(sizes: Any) -> Rows:
    rows = rows_of(sizes)
    return Rows(Table({name: [row[name] for row in rows] for name in rows[0]}), "pairs", range(1, len(rows) + 1))


def whole(rows: Rows, sizes: Any) -> bool:
    """Whether every query that is there is there with all its pairs."""
    counts = Counter(rows.column("query"))
    return all(count == sizes[query.count("good")] for query, count in counts.items())


@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=12),
    most=st.integers(6, 40) | st.none(),
    seed=st.integers(0, 99),
)
def test_rows_are_chosen_and_split_query_by_query(sizes: list[int], most: int | None, seed: int) -> None:
    rows, request = table(sizes), DataRequest(TASK, Path("pairs.jsonl"), max_samples=most, seed=seed)
    chosen = chosen_rows(rows, request)
    assert whole(chosen, sizes)
    assert len(chosen) <= (most or len(rows))
    for one, other in (hold_out(rows, TASK), split_rows(rows, request)):
        assert whole(one, sizes)
        assert whole(other, sizes)
        assert not set(one.column("query")) & set(other.column("query"))
        assert min(len(one), len(other)) > 0


def test_one_query_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pairs has no query for calibration with all its texts, and another for valid"):
        split_rows(table((6,)), DataRequest(TASK, tmp_path))


def test_a_query_is_held_out_however_many_texts_it_has(tmp_path: Path) -> None:
    sizes = (2500, 3, 2500)
    for parts in (hold_out(table(sizes), TASK), split_rows(table(sizes), DataRequest(TASK, tmp_path))):
        assert sorted(len(set(part.column("query"))) for part in parts) == [1, 2]


def test_a_query_that_is_no_text_is_named_with_its_row(tmp_path: Path) -> None:
    rows = [*rows_of(), {"query": ["good", "film"], "text": "a movie", "label": 1}]
    with pytest.raises(DataError, match=r"pairs\.jsonl, row 16: column 'query' holds"):
        read(tmp_path, rows)
    file = write_jsonl(tmp_path / "pairs.jsonl", rows)
    request = DataRequest(TASK, file, max_samples=8)
    assert chosen_rows(read_task_rows(request), request)


def test_some_examples_know_their_queries_too(tmp_path: Path) -> None:
    some = read(tmp_path).spread(6)
    assert isinstance(some, CandidateBatches)
    assert (some.examples, len(some.indices)) == (6, 6)


def test_too_few_rows_for_any_query(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="every query of pairs has more than 2 rows, and what is ranked together is"):
        chosen_rows(table((4, 3)), DataRequest(TASK, tmp_path, max_samples=2))
    texts = chosen_rows(table((4, 3)), DataRequest(TASK, tmp_path, max_samples=2).without_labels())
    assert len(texts) == 2, "pairs alone are chosen one by one"


def test_reading_rows_needs_no_grouping(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "pairs.jsonl", rows_of())
    assert len(read_task_rows(DataRequest(TASK, file))) == sum(SIZES)
