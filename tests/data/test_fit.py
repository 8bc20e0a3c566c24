"""A task, a head and their labels are checked together."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.fit import check_task
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.helpers import HEADS, tiny_head

# Kind of head -> kinds of labels that it may predict beside those of its own: one output may be a score to rank by, and
# a head that does not say what it is for may be one for several classes
BESIDE = {"number": ("rank",), "class": ("multilabel",), "multilabel": ()}
LABELLED = [task for task in TASKS.values() if task.label is not None]
PROBLEMS: dict[str, dict[str, Any]] = {
    "class": {"num_labels": 3},
    "number": {"num_labels": 1},
    "multilabel": {"num_labels": 3, "problem_type": "multi_label_classification"},
}


@pytest.mark.parametrize("class_name", ["BertForSequenceClassification", "DistilBertForSequenceClassification"])
@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("task", LABELLED, ids=lambda task: task.name)
def test_a_task_goes_with_the_head_that_predicts_its_labels(task: Any, kind: str, class_name: str) -> None:
    encoder = encoder_of(tiny_head(class_name, **PROBLEMS[kind]))
    if task.labels in (kind, *BESIDE[kind]):
        check_task(task, encoder)
        return
    with pytest.raises(DataError) as caught:
        check_task(task, encoder)
    said = str(caught.value)
    outputs = "one output" if kind == "number" else "3 outputs"
    assert f"task {task.name} has " in said
    assert f"this model ({class_name} with {outputs}" in said
    assert "choose one of " in said
    fitting = said.partition("choose one of ")[2].split(", ")
    assert all(TASKS[name].labels in (kind, *BESIDE[kind]) for name in fitting)


@pytest.mark.parametrize("problem", [None, "regression", "multi_label_classification"])
def test_one_output_ranks_whatever_it_was_trained_for(problem: str | None) -> None:
    check_task(
        TASKS["rerank"], encoder_of(tiny_head("BertForSequenceClassification", num_labels=1, problem_type=problem))
    )


@pytest.mark.parametrize("class_name", HEADS)
def test_texts_without_labels_go_with_every_head(class_name: str) -> None:
    encoder = encoder_of(tiny_head(class_name))
    check_task(TASKS["text"], encoder)
    check_task(TASKS["ner"].without_labels(), encoder)


@pytest.mark.parametrize(
    ("class_name", "settings", "remedy"),
    [
        ("BertModel", {}, "choose one of sts"),
        ("BertForMaskedLM", {}, "no task measures such a model"),
        ("BertForTokenClassification", {}, "choose one of ner, pos"),
        ("BertForSequenceClassification", {"num_labels": 2, "problem_type": "regression"}, "no task measures"),
    ],
)
def test_what_fits_is_said(class_name: str, settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(DataError, match=remedy):
        check_task(TASKS["sst2"], encoder_of(tiny_head(class_name, **settings)))
