"""Rows become masked batches, the same from every kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch

from fwsvd_export.data.batches import IGNORED_LABEL, Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.rows import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.data.sentences import ENCODER, ROWS, TEXTS, Rows, assert_same, encoder_with, rows_of

# A quotation mark without a partner, a comma, words that tables take for missing values, letters beyond ASCII


def write_csv(path: Path) -> None:
    quoted = [f'"{row["sentence"].replace(chr(34), 2 * chr(34))}",{row["label"]}' for row in ROWS]
    path.write_text("\n".join(["sentence,label", *quoted]) + "\n", encoding="utf-8")


def write_tsv(path: Path) -> None:
    path.write_text(
        "sentence\tlabel\n" + "".join(f"{row['sentence']}\t{row['label']}\n" for row in ROWS), encoding="utf-8"
    )


def write_parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS), encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "parquet": write_parquet,
    "json": write_json,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_the_same_batches(
    kind: str, tokenizer: Any, load: Callable[..., Batches], tmp_path: Path
) -> None:
    path = tmp_path / f"rows.{kind}"
    WRITERS[kind](path)
    found = load_batches(DataRequest(TASKS["sst2"], path, batch_size=4), tokenizer, ENCODER)
    assert_same(found, load(ROWS, batch_size=4))
    assert sorted(rows_of(found, "input_ids")) == sorted(tokenizer(TEXTS)["input_ids"])


def test_labels_stay_with_their_texts(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load(ROWS, batch_size=4)
    labels = [label for batch in batches for label in batch["labels"].tolist()]
    expected = [(tokenizer(row["sentence"])["input_ids"], row["label"]) for row in ROWS]
    assert sorted(zip(rows_of(batches, "input_ids"), labels, strict=True)) == sorted(expected)


@pytest.mark.parametrize(("max_length", "positions", "longest"), [(6, 64, 6), (128, 8, 8), (128, 64, 12)])
def test_texts_are_cut_to_the_length_asked_for_and_to_the_models(
    max_length: int, positions: int, longest: int, load: Callable[..., Batches]
) -> None:
    batches = load(ROWS, encoder=encoder_with(max_position_embeddings=positions), max_length=max_length)
    assert batches[0]["input_ids"].shape[1] == longest


def test_labels_may_be_the_models_names(load: Callable[..., Batches]) -> None:
    encoder = encoder_with(label2id={"bad": 0, "good": 1}, id2label={0: "bad", 1: "good"})
    rows = [{"sentence": "dull", "label": "bad"}, {"sentence": "fine", "label": "good"}]
    assert load(rows, encoder=encoder)[0]["labels"].tolist() == [0, 1]


def test_pairs_are_told_apart_by_token_types(tokenizer: Any, load: Callable[..., Batches]) -> None:
    batches = load([{"sentence1": "good film", "sentence2": "bad", "label": 1}], task="mrpc")
    assert rows_of(batches, "input_ids") == [tokenizer("good film", "bad")["input_ids"]]
    assert rows_of(batches, "token_type_ids") == [[0, 0, 0, 0, 1, 1]]


def test_numbers_stay_fractions(load: Callable[..., Batches]) -> None:
    rows = [{"sentence1": "good", "sentence2": "bad", "label": value} for value in (0.25, 3)]
    labels = load(rows, task="stsb", encoder=encoder_with(num_labels=1))[0]["labels"]
    assert labels.tolist() == [0.25, 3.0]
    assert labels.dtype == torch.float32


def test_text_without_labels_needs_none(load: Callable[..., Batches]) -> None:
    assert set(load([{"text": "good film"}], task="text")[0]) == {"input_ids", "token_type_ids", "attention_mask"}


def test_the_first_piece_of_a_word_carries_its_label(
    load: Callable[..., Batches], tiny_folder: Path, tmp_path: Path
) -> None:
    from transformers import BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##s", "good"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    pieces = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), vocab_file=str(tmp_path / "vocab.txt"))
    encoder = encoder_with(label2id={"O": 0, "B": 1, "I": 2}, id2label={0: "O", 1: "B", 2: "I"})
    file = tmp_path / "rows.jsonl"
    rows: Rows = [{"tokens": ["good", "films", "film"], "ner_tags": [0, 1, 2]}, {"tokens": ["good"], "ner_tags": [2]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batch = load_batches(DataRequest(TASKS["ner"], file), pieces, encoder)[0]
    none = IGNORED_LABEL
    assert batch["input_ids"].tolist() == [[2, 7, 3, 0, 0, 0], [2, 7, 5, 6, 5, 3]]
    assert batch["labels"].tolist() == [[none, 2, none, none, none, none], [none, 0, 1, none, 2, none]]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([0], "one label per word"),
        (0, "one label per word"),
        ([0, 9], "row 1: label 9"),
        (["O", "X"], "row 1: label 'X'"),
    ],
)
def test_token_labels_that_do_not_fit(tags: Any, words: str, load: Callable[..., Batches]) -> None:
    encoder = encoder_with(label2id={"O": 0, "B": 1}, id2label={0: "O", 1: "B"})
    with pytest.raises(DataError, match=words):
        load([{"tokens": ["good", "film"], "ner_tags": tags}], task="ner", encoder=encoder)
