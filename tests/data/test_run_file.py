"""Candidates of a first search: which pairs they are, with which grades, and what cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.candidates import CandidateBatches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.run_file import candidate_rows
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, DataWarning
from tests.conftest import save_tokenizer
from tests.data.test_collection import QRELS, write
from tests.helpers import tiny_head

RUN = ["1 Q0 b 1 9.5 bm25", "1 Q0 a 2 7.25 bm25", "", "2\tQ0\tb\t1\t3\tbm25", "2 Q0 a 2 1 bm25"]


def read(folder: Path, run: list[str] = RUN, qrels: list[str] = QRELS) -> Rows:
    (folder / "run.trec").write_text("\n".join(run) + "\n")
    found = write(folder, qrels=qrels)
    return candidate_rows(replace(found, task=TASKS["rerank"], candidates=folder / "run.trec"))


def test_a_row_is_a_query_a_candidate_and_the_judgement_of_both(tmp_path: Path) -> None:
    rows = read(tmp_path, qrels=[*QRELS, "1\tb\t-1"])
    assert list(zip(*(rows.column(name) for name in ("query", "text", "label")), strict=True)) == [
        ("great film", "a dull plot", 0),
        ("great film", "the film was great", 1),
        ("dull movie", "a dull plot", 2),
        ("dull movie", "the film was great", 0),
    ]
    assert rows.place(3) == "run.trec, row 4"


def test_candidates_that_cannot_be_measured_are_counted(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"^3 of 7 rows of run.trec name a query without an answer, or what is not"):
        rows = read(tmp_path, ["3 Q0 a 1 1 bm25", *RUN, "1 Q0 z 3 1 bm25", "9 Q0 a 1 1 bm25"])
    assert [rows.place(index) for index in (0, 3)] == ["run.trec, row 2", "run.trec, row 5"]


def test_queries_without_a_candidate_are_counted(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"^1 of 2 queries with an answer have no candidate in run.trec, and are not"):
        assert len(read(tmp_path, RUN[:2])) == 2


def test_queries_of_one_text_are_two(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("\n".join(RUN))
    queries = [{"_id": "1", "text": "great film"}, {"_id": "2", "text": "great film"}]
    asked = replace(write(tmp_path, queries=queries), task=TASKS["rerank"], candidates=tmp_path / "run.trec")
    reranker = encoder_of(tiny_head("BertForSequenceClassification", num_labels=1))
    save_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    read, half = (load_batches(replace(asked, max_samples=most), tokenizer, reranker) for most in (None, 2))
    assert isinstance(read, CandidateBatches)
    assert sorted(read.queries.values()) == ["1", "1", "2", "2"]
    assert isinstance(half, CandidateBatches)
    assert len({half.queries[index] for index in half.indices}) == 1, "the texts of one query are chosen together"


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (
            ["1 Q0 a 1 9.5"],
            r"run.trec, row 1: 5 fields, and a run has 6 between blanks: query, Q0, document, rank, sco",
        ),
        ([*RUN, "1 Q0 b 3 1 bm25"], r"run.trec, row 5: document b is given twice for query 1; correct it"),
        (
            ["3 Q0 a 1 1 bm25"],
            r"no row of run.trec pairs a query that has an answer with a document .* \(1 row\); give",
        ),
    ],
)
def test_a_run_that_cannot_be_used_is_refused(run: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, run)


@pytest.mark.parametrize(
    ("task", "files", "said"),
    [
        ("sts", {"candidates": "run"}, "--candidates are what task rerank ranks, and the task is sts; leave them out"),
        ("retrieval", {"candidates": "run"}, "--candidates are what task rerank ranks, and the task is retrieval; lea"),
        ("rerank", {"candidates": "run", "corpus": "c"}, "--candidates need three files beside them: --queries, --cor"),
        ("rerank", {"corpus": "c", "qrels": "q"}, "task rerank takes --corpus and --qrels with --candidates, the run "),
    ],
)
def test_files_that_do_not_go_together_are_refused(task: str, files: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        DataRequest(TASKS[task], Path("queries.jsonl"), **{name: Path(file) for name, file in files.items()})
