"""Rows become masked batches, the same from every kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.data import encode, files, line_table
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, DataWarning
from tests.data.sentences import ENCODER, ROWS, TEXTS, Rows, assert_same, encoder_with, rows_of


@pytest.mark.parametrize(("max_length", "positions", "longest"), [(6, 64, 6), (128, 8, 8), (128, 64, 12)])
def test_texts_are_cut_to_the_length_asked_for_and_to_the_models(
    max_length: int, positions: int, longest: int, load: Callable[..., Batches]
) -> None:
    batches = load(ROWS, encoder=encoder_with(max_position_embeddings=positions), max_length=max_length)
    assert batches[0]["input_ids"].shape[1] == longest


def test_pairs_are_told_apart_by_token_types(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load([{"sentence1": "good film", "sentence2": "bad", "label": 1}], task="mrpc")
    assert rows_of(batches, "input_ids") == [tokenizer("good film", "bad")["input_ids"]]
    assert rows_of(batches, "token_type_ids") == [[0, 0, 0, 0, 1, 1]]


def test_the_first_piece_of_a_word_carries_its_label(
    load: Callable[..., Batches], tiny_folder: Path, tmp_path: Path
) -> None:
    from transformers import BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##s", "good"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    pieces = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), vocab_file=str(tmp_path / "vocab.txt"))
    encoder = encoder_with(
        "BertForTokenClassification", label2id={"O": 0, "B": 1, "I": 2}, id2label={0: "O", 1: "B", 2: "I"}
    )
    file = tmp_path / "rows.jsonl"
    rows: Rows = [{"tokens": ["good", "films", "film"], "ner_tags": [0, 1, 2]}, {"tokens": ["good"], "ner_tags": [2]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batch = load_batches(DataRequest(TASKS["ner"], file), pieces, encoder)[0]
    none = IGNORED_LABEL
    assert batch["input_ids"].tolist() == [[2, 7, 3, 0, 0, 0], [2, 7, 5, 6, 5, 3]]
    assert batch["labels"].tolist() == [[none, 2, none, none, none, none], [none, 0, 1, none, 2, none]]


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size stay on disk, and three rows are in memory at once."""
    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr(line_table, "AT_ONCE", 3)
    monkeypatch.setattr(encode, "AT_ONCE", 3)


@pytest.mark.parametrize("task", ["sst2", "qqp", "ner", "embedding", "sts"])
@pytest.mark.parametrize("options", [{}, {"max_samples": 5, "seed": 1}, {"shard": (2, 2)}, {"max_length": 6}])
def test_texts_of_a_large_file_are_the_same_batches(
    task: str, options: dict[str, Any], tokenizer: Any, write_rows: Callable[[Rows], Path], request: Any
) -> None:
    texts = [
        {"sentence": text, "text": text, "question1": text, "question2": "bad", "sentence1": text, "sentence2": "dull"}
        | {"tokens": text.split(), "label": "nothing that is read"}
        for text in (*TEXTS, "good", "a film that was bad", "film")
    ]
    asked = DataRequest(TASKS[task].without_labels(), write_rows(texts), batch_size=2, **options)
    encoder = encoder_with("BertModel" if TASKS[task].embeds_texts else "BertForSequenceClassification")
    whole = load_batches(asked, tokenizer, encoder)
    request.getfixturevalue("from_disk")
    stored = load_batches(asked, tokenizer, encoder)
    assert_same(stored, whole)
    assert list(stored.indices) == list(whole.indices)
    assert stored.reading == whole.reading
    seen = set(list(whole.token_ids)[:2])
    assert_same(stored.without(seen), whole.without(seen))
    assert stored.among(seen) == seen == whole.among(seen)
    assert_same(stored.spread(3), whole.spread(3))


@pytest.mark.usefixtures("from_disk")
def test_rows_without_a_text_are_left_out_of_a_large_file_and_counted(
    tokenizer: Any, write_rows: Callable[[Rows], Path]
) -> None:
    rows: Rows = [{"sentence": text} for text in ("", "", "", "", "good", "bad", "")]
    task = TASKS["sst2"].without_labels()
    with pytest.warns(
        DataWarning, match=r"5 of 7 rows of rows.jsonl were left out: 5 without a text; .* row 1: column"
    ):
        read = load_batches(DataRequest(task, write_rows(rows), on_bad_row="skip"), tokenizer, ENCODER)
    assert sorted(read.indices) == [4, 5]
    with pytest.raises(DataError, match=r"^rows.jsonl, row 1: column 'sentence' is empty, a text is needed"):
        load_batches(DataRequest(task, write_rows(rows)), tokenizer, ENCODER)
    with pytest.raises(
        DataError, match=r"^no row of rows.jsonl can be used \(4 rows\), .* the first: rows.jsonl, row 1"
    ):
        load_batches(DataRequest(task, write_rows(rows[:4]), on_bad_row="skip"), tokenizer, ENCODER)


@pytest.mark.usefixtures("from_disk")
def test_labels_of_a_large_file_are_read(load: Callable[..., Batches]) -> None:
    assert sorted(int(label) for batch in load(ROWS) for label in batch["labels"]) == [0, 0, 0, 1, 1, 1]
