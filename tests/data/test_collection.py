"""Collections: the three files of BEIR's layout, what is left out of them, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.collection import Collection, read_collection
from fwsvd_export.data.collection_batches import CollectionBatches
from fwsvd_export.data.encode import load_batches, read_task_rows
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, DataWarning
from fwsvd_export.sweep.keys import rows_sha256
from tests.conftest import write_jsonl
from tests.helpers import tiny_head

TASK = TASKS["retrieval"]
CORPUS = [
    {"_id": "a", "title": "the film", "text": "was great"},
    {"_id": "b", "title": "", "text": "a dull plot"},
    {"_id": "c", "title": "the cast"},
]
QUERIES = [{"_id": "1", "text": "great film"}, {"_id": "2", "text": "dull movie"}, {"_id": "3", "text": "not judged"}]
QRELS = ["query-id\tcorpus-id\tscore", "1\ta\t1", "2\tb\t2", "2\ta\t0", "3\ta\t0"]


def write(folder: Path, corpus: Any = CORPUS, queries: Any = QUERIES, qrels: Any = QRELS) -> DataRequest:
    judgements = folder / "qrels.tsv"
    judgements.write_text("\n".join(qrels) + "\n")
    files = [write_jsonl(folder / f"{name}.jsonl", rows) for name, rows in (("queries", queries), ("corpus", corpus))]
    return DataRequest(TASK, files[0], corpus=files[1], qrels=judgements)


def read(folder: Path, **rows: Any) -> Collection:
    return read_collection(write(folder, **rows))


def test_titles_stand_before_texts_and_queries_are_those_with_an_answer(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.documents == {"a": "the film was great", "b": "a dull plot", "c": "the cast"}
    assert found.queries == {"1": "great film", "2": "dull movie"}
    assert found.relevant == {"1": {"a": 1}, "2": {"b": 2, "a": 0}}


def test_what_is_empty_or_unknown_is_left_out_and_counted(tmp_path: Path) -> None:
    corpus = [*CORPUS, {"_id": "d", "title": " ", "text": ""}]
    with pytest.warns(DataWarning) as said:
        found = read(tmp_path, corpus=corpus, qrels=[*QRELS, "1\td\t1", "9\ta\t1"])
    assert [str(warning.message) for warning in said] == [
        "1 of 4 rows of corpus.jsonl have no text, and no document of them is used.",
        "2 of 6 rows of qrels.tsv name a query or a document that is not there, and are left out.",
    ]
    assert "d" not in found.documents


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"corpus": [*CORPUS, CORPUS[0]]}, "corpus.jsonl, row 4: the id 'a' is given twice; make ids different"),
        ({"corpus": [{"text": "x"}]}, "corpus.jsonl has no column _id; it has text: the layout of BEIR is needed"),
        ({"queries": [{"_id": "1", "text": 3}]}, "queries.jsonl, row 1: an id and texts are needed; correct it"),
        ({"queries": [{"_id": "1", "text": ""}]}, "no row of queries.jsonl has a text; give another file"),
        ({"qrels": [QRELS[0], "1\ta\tyes"]}, "qrels.tsv, row 1: score 'yes' is not a whole number, which a grade is"),
        ({"qrels": [QRELS[0], "1\ta\t0"]}, "no row of qrels.tsv names a query of queries.jsonl and a document of"),
        ({"qrels": ["1\titer\ta\tone", "2\t0\tb\t1"]}, "qrels.tsv has no column query-id"),
    ],
)
@pytest.mark.filterwarnings("ignore::fwsvd_export.errors.DataWarning")
def test_what_cannot_be_used(rows: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, **rows)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("task", "files", "said"),
    [
        ("retrieval", {}, "task retrieval needs three files: --queries, --corpus and --qrels"),
        ("sts", {"corpus": Path("c")}, "--corpus and --qrels are files of task retrieval, and the task is sts; leave"),
    ],
)
def test_files_belong_to_the_task(task: str, files: dict[str, Path], said: str) -> None:
    with pytest.raises(DataError, match=said):
        DataRequest(TASKS[task], Path("queries.jsonl"), **files)


def test_batches_hold_all_texts_and_know_the_collection_unless_some_were_chosen(
    tmp_path: Path, tiny_folder: Path
) -> None:
    request = write(tmp_path)
    tokenizer, encoder = AutoTokenizer.from_pretrained(tiny_folder), encoder_of(tiny_head("BertModel"))
    batches = load_batches(request, tokenizer, encoder)
    assert isinstance(batches, CollectionBatches)
    assert batches.examples == 5
    assert batches.collection is not None
    assert batches.without(batches.token_ids) is batches, "a collection is searched whole"
    texts = [*batches.collection.documents.values(), *batches.collection.queries.values()]
    placed = dict(zip(batches.indices, (row for batch in batches for row in batch["input_ids"]), strict=True))
    for place, text in enumerate(texts):
        assert placed[place].tolist()[: len(tokenizer(text)["input_ids"])] == tokenizer(text)["input_ids"]
    some = load_batches(DataRequest(**{**vars(request), "max_samples": 2}), tokenizer, encoder)
    assert isinstance(some, CollectionBatches)
    assert (some.examples, some.collection) == (2, None)


def test_judgements_count_in_the_digest_of_the_rows(tmp_path: Path) -> None:
    requests = []
    for name, qrels in (("one", QRELS), ("same", QRELS), ("other", [*QRELS, "1\tc\t1"])):
        (tmp_path / name).mkdir()
        requests.append(write(tmp_path / name, qrels=qrels))
    first, second, third = (rows_sha256(read_task_rows(request), TASK) for request in requests)
    assert first == second != third
