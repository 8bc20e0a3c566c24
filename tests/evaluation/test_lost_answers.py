"""What one more lost answer costs a metric, against trying every answer of every example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.evaluation.lost_answers import largest_cost
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.resampled import metrics_of

CLASSES = st.integers(0, 2)


def value(task: str, references: list[Any], predictions: list[Any]) -> float:
    metrics = metrics_of(TASKS[task], Outcomes(references, predictions))
    return float(metrics(np.ones((1, len(references))))[str(TASKS[task].metric)][0])


def dearest(task: str, references: list[Any], predictions: list[Any], wrong: list[list[Any]]) -> float:
    """The largest drop with one prediction replaced by one of ``wrong``, times the number of examples."""
    before = value(task, references, predictions)
    after = [
        value(task, references, [*predictions[:place], said, *predictions[place + 1 :]])
        for place, others in enumerate(wrong)
        for said in others
    ]
    return len(references) * (before - min(after))


@given(
    st.lists(st.tuples(CLASSES, CLASSES), min_size=4, max_size=12).filter(lambda pairs: any(a == b for a, b in pairs))
)
def test_of_a_matthews_correlation_every_wrong_class_is_tried(pairs: list[tuple[int, int]]) -> None:
    references, predictions = (list(side) for side in zip(*pairs, strict=True))
    classes = sorted({*references, *predictions})
    wrong = [[c for c in classes if c != right] if right == said else [] for right, said in pairs]
    if any(wrong):
        expected = dearest("cola", references, predictions, wrong)
        assert largest_cost(TASKS["cola"], Outcomes(references, predictions)) == pytest.approx(expected, abs=1e-9)


def test_of_an_f1_it_is_the_example_with_most_that_is_right() -> None:
    references = [["B-A", "I-A", "B-A", "O"], ["B-A", "O", "O", "O"], ["O", "O", "O", "O"]]
    expected = dearest("ner", references, references, [[["O"] * 4]] * 3)
    assert largest_cost(TASKS["ner"], Outcomes(references, references)) == pytest.approx(expected)
    assert expected > 1
    labels = [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    expected = dearest("multilabel", labels, labels, [[[0, 0, 0]]] * 3)
    assert largest_cost(TASKS["multilabel"], Outcomes(labels, labels)) == pytest.approx(expected)
    assert expected > 1


@pytest.mark.parametrize("task", ["sst2", "mrpc", "mnli"])
def test_of_a_share_of_right_answers_it_is_one(task: str) -> None:
    assert largest_cost(TASKS[task], Outcomes([0, 1, 1], [0, 0, 1])) == 1


def test_of_numbers_nothing_is_unseen() -> None:
    assert largest_cost(TASKS["stsb"], Outcomes([0.5, 1.0], [0.5, 1.0])) == 0


@pytest.mark.parametrize("task", ["retrieval", "rerank"])
def test_of_rankings_it_is_what_the_best_one_has(task: str) -> None:
    assert largest_cost(TASKS[task], Outcomes(["q", "r"], [(0.5, 1.0), (0.75, 0.2)])) == 0.75
