"""What ``evaluate --json`` prints reads and writes itself."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.evaluation.result import Evaluation

DIFFERENCE = {"against": "dense", "value": -0.25, "low": -0.5, "high": 0.0, "confidence": 0.95, "examples": 8}
DIFFERENCE |= {"dense": 0.75, "changed": 2, "against_sha256": "ab" * 32, "largest_cost": 1.0}
DIFFERENCE |= {"beside": {"f1": {"value": -0.125, "low": -0.25, "high": 0.0}}}
EVALUATION: dict[str, Any] = {
    "model": "small",
    "task": "mrpc",
    "metric": "accuracy",
    "value": 0.5,
    "examples": 8,
    "runtime": "torch",
    "seconds": 1.5,
    "f1": 0.25,
    "beside": {"f1": 0.25},
    "data": "v.jsonl",
    "sha256": None,
    "environment": {"cpu": "CPU", "cores": 2, "gpu": None, "threads": None, "versions": {"torch": "2"}},
}


def read(**values: Any) -> Evaluation:
    return Evaluation.from_json({**EVALUATION, **values}, "small.json", CardError)


def test_what_is_written_is_what_was_read() -> None:
    given = {"cut": 2, "skipped": 1, "difference": DIFFERENCE}
    assert read(**given).to_json() == {**EVALUATION, **given}
    assert read().to_json() == {**EVALUATION, **dict.fromkeys(given)}, "earlier versions did not write them"


def test_a_further_metric_never_takes_the_place_of_a_field() -> None:
    assert read(beside={"value": 9.0}).to_json()["value"] == 0.5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"value": "high"}, "value is 'high', a number within"),
        ({"beside": {"f1": "x"}}, "beside is {'f1': 'x'}, an object is needed"),
        ({"environment": {"cpu": "CPU"}}, "environment has no cores"),
        ({"examples": 1.0}, "examples is 1.0, a whole number from 0"),
        ({"difference": {**DIFFERENCE, "low": "x"}}, "difference.low is 'x', a number within"),
        ({"difference": {"value": 1.0}}, "difference has no against"),
    ],
)
def test_what_evaluate_never_prints_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(CardError) as caught:
        read(**values)
    assert str(caught.value).startswith("small.json: ")
    assert reason in str(caught.value)
    assert "measure again" in str(caught.value)
