"""Rows become masked batches, the same from every kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.data.batches import IGNORED_LABEL, Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from tests.data.sentences import ROWS, Rows, encoder_with, rows_of


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
