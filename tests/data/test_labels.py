"""Labels of the data become what the model predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Sequence

from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.labels import resolved
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.data.sentences import encoder_with
from tests.helpers import tiny_config


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


def labels_of(batches: Batches) -> list[Any]:
    return [label for batch in batches for label in batch["labels"].tolist()]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([["joy"], ["fear", "ANGER"], []], [[0, 1, 0], [1, 0, 1], [0, 0, 0]]), ([[0, 1, 1]], [[0, 1, 1]])],
)
def test_several_classes_are_a_list_of_names_or_of_zeros_and_ones(
    labels: list[Any], expected: list[Any], load: Callable[..., Batches]
) -> None:
    names = ("anger", "joy", "fear")
    encoder = encoder_with(
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        problem_type="multi_label_classification",
    )
    rows = [{"text": "good", "labels": value} for value in labels]
    found = load(rows, task="multilabel", encoder=encoder)
    assert sorted(labels_of(found)) == sorted(expected)
    assert found[0]["labels"].dtype == torch.float32


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 0], "neither a list of names nor 3 times 0 or 1"),
        ([1, 0, 2], "neither a list of names nor 3 times 0 or 1"),
        ("joy", "'joy' is not a list"),
        (["joy"], "label 'joy' is not one of the model's 3 classes"),
    ],
)
def test_several_classes_that_do_not_fit(value: Any, words: str, load: Callable[..., Batches]) -> None:
    encoder = encoder_with(num_labels=3, problem_type="multi_label_classification")
    with pytest.raises(DataError, match=f"row 1: .*{words}"):
        load([{"text": "good", "labels": value}], task="multilabel", encoder=encoder)


def test_words_may_stand_without_a_label_but_not_all_of_a_row(load: Callable[..., Batches]) -> None:
    encoder = encoder_with("BertForTokenClassification", num_labels=2)
    rows = [{"tokens": ["good", "film"], "ner_tags": [IGNORED_LABEL, 1]}]
    assert labels_of(load(rows, task="ner", encoder=encoder)) == [[IGNORED_LABEL, IGNORED_LABEL, 1, IGNORED_LABEL]]
    with pytest.raises(DataError, match=r"row 2: no word has a label \(-100 stands for none\); correct it, or leave"):
        load([*rows, {"tokens": ["good"], "ner_tags": [IGNORED_LABEL]}], task="ner", encoder=encoder)


def test_the_datas_names_serve_a_model_without() -> None:
    tags = Sequence(ClassLabel(names=["O", "B-PER"]))
    nameless, named = (tiny_config(num_labels=2, **settings) for settings in ({}, {"id2label": {0: "x", 1: "y"}}))
    assert resolved(TASKS["ner"], nameless, tags).label_names == ("O", "B-PER")
    assert resolved(TASKS["ner"], named, tags) is TASKS["ner"]
    assert resolved(TASKS["ner"], nameless, Sequence(ClassLabel(names=["0", "1"]))) is TASKS["ner"]
