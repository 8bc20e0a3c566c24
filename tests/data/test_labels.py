"""Labels of the data become what the model predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fwsvd_export.data.batches import Batches
from fwsvd_export.errors import DataError
from tests.data.sentences import encoder_with


def test_labels_may_be_the_models_names(load: Callable[..., Batches]) -> None:
    encoder = encoder_with(label2id={"bad": 0, "good": 1}, id2label={0: "bad", 1: "good"})
    rows = [{"sentence": "dull", "label": "bad"}, {"sentence": "fine", "label": "good"}]
    assert load(rows, encoder=encoder)[0]["labels"].tolist() == [0, 1]


def test_numbers_stay_fractions(load: Callable[..., Batches]) -> None:
    rows = [{"sentence1": "good", "sentence2": "bad", "label": value} for value in (0.25, 3)]
    labels = load(rows, task="stsb", encoder=encoder_with(num_labels=1))[0]["labels"]
    assert labels.tolist() == [0.25, 3.0]
    assert labels.dtype == torch.float32


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
    encoder = encoder_with("BertForTokenClassification", label2id={"O": 0, "B": 1}, id2label={0: "O", 1: "B"})
    with pytest.raises(DataError, match=words):
        load([{"tokens": ["good", "film"], "ner_tags": tags}], task="ner", encoder=encoder)
