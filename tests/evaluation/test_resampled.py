"""The metric of a resample is the metric of its examples, as the libraries have it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.resampled import metrics_of
from fwsvd_export.evaluation.scores import scorer_of
from tests.evaluation.pairs import PAIRS, TAGS, Pair, answered, perhaps_answered


def resample(pairs: list[Pair], places: list[int]) -> tuple[Outcomes, np.ndarray[Any, Any]]:
    """The outcomes of all examples, and how often each is among the places."""
    weights = np.bincount(places, minlength=len(pairs)).astype(float)
    return Outcomes([pair[0] for pair in pairs], [pair[1] for pair in pairs]), weights[None]


def places_in(pairs: list[Pair]) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=len(pairs))


def by_the_library(task: str, outcomes: Outcomes, places: list[int]) -> dict[str, float]:
    chosen = outcomes.at(places)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that a small resample lacks, and of nearly constant numbers
        return scorer_of(TASKS[task], dict(enumerate(TAGS)))(chosen.references, chosen.predictions)


def drawn(strategy: st.SearchStrategy[Pair], data: st.DataObject) -> tuple[list[Pair], list[int]]:
    pairs = data.draw(st.lists(strategy, min_size=2, max_size=12))
    return pairs, data.draw(places_in(pairs))


@pytest.mark.parametrize("task", [name for name in PAIRS if name != "stsb"])
@settings(max_examples=40)
@given(data=st.data())
def test_a_resample_has_the_metrics_of_its_examples(task: str, data: st.DataObject) -> None:
    pairs, places = drawn(PAIRS[task], data)
    outcomes, weights = resample(pairs, places)
    found = metrics_of(TASKS[task], outcomes)(weights)
    expected = by_the_library(task, outcomes, places)
    assert {name: float(values[0]) for name, values in found.items()} == pytest.approx(expected, abs=1e-12)


@settings(max_examples=200)
@given(data=st.data())
def test_correlations_are_taken_anew_in_every_resample(data: st.DataObject) -> None:
    pairs, places = drawn(PAIRS["stsb"], data)
    outcomes, weights = resample(pairs, places)
    found = {name: float(values[0]) for name, values in metrics_of(TASKS["stsb"], outcomes)(weights).items()}
    if len({pairs[place][0] for place in places}) < 2:  # which evaluate refuses: no correlation can be told
        assert set(found.values()) == {0.0}
    else:
        assert found == pytest.approx(by_the_library("stsb", outcomes, places), abs=1e-6)


@pytest.mark.parametrize("strategy", [answered, perhaps_answered])
@settings(max_examples=40)
@given(data=st.data())
def test_answers_have_the_means_over_their_questions(strategy: st.SearchStrategy[Pair], data: st.DataObject) -> None:
    pairs, places = drawn(strategy, data)
    outcomes, weights = resample(pairs, places)
    found = {name: float(values[0]) for name, values in metrics_of(TASKS["squad"], outcomes)(weights).items()}
    expected = by_the_library("squad", outcomes, places)
    if found.keys() > expected.keys():  # a resample may have one kind of question only
        one_kind = all(pairs[place][0].answers for place in places)
        expected |= {"has_answer_f1": expected["f1"] * one_kind, "no_answer_f1": expected["f1"] * (not one_kind)}
    assert found == pytest.approx({name: expected[name] for name in found})


@pytest.mark.parametrize(
    "outcomes",
    [
        pytest.param(("cola", [1, 1, 1], [1, 1, 1]), id="one class"),
        pytest.param(("cola", [0, 1, 1], [1, 1, 1]), id="constant predictions"),
        pytest.param(("mrpc", [0, 0, 0], [0, 0, 0]), id="nobody is of the class"),
        pytest.param(("stsb", [1.0, 2.0, 3.0], [7.0, 7.0, 7.0]), id="constant numbers"),
        pytest.param(("multilabel", [[0, 0]] * 3, [[0, 0]] * 3), id="no class at all"),
        pytest.param(("ner", [["O"]] * 3, [["O"]] * 3), id="no entity"),
    ],
)
def test_what_has_no_spread_has_the_value_of_evaluate_and_never_nan(outcomes: tuple[str, Any, Any]) -> None:
    task, references, predictions = outcomes
    found = metrics_of(TASKS[task], Outcomes(references, predictions))(np.array([[1.0, 1, 1], [3, 0, 0], [0, 1, 2]]))
    whole = by_the_library(task, Outcomes(references, predictions), [0, 1, 2])
    assert {name: float(values[0]) for name, values in found.items()} == pytest.approx(whole)
    assert all(np.isfinite(values).all() for values in found.values())


def test_many_resamples_are_as_many_single_ones() -> None:
    generator = np.random.default_rng(0)
    references, predictions = generator.integers(0, 3, 40), generator.integers(0, 3, 40)
    metric = metrics_of(TASKS["cola"], Outcomes(references.tolist(), predictions.tolist()))
    weights = generator.multinomial(40, [1 / 40] * 40, size=25).astype(float)
    together = metric(weights)["matthews_correlation"]
    assert together.tolist() == pytest.approx([metric(row[None])["matthews_correlation"][0] for row in weights])
