"""A metric that is worse than guessing is not passed over in silence."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from transformers import BertConfig

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataWarning
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.records import Measurement


def warned(task: str, metric: str, value: float, examples: int, classes: int = 2) -> list[str]:
    measured = Measurement(metric, value, examples, 1.0, {})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_below_chance(measured, TASKS[task], BertConfig(num_labels=classes))
    assert all(warning.category is DataWarning for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    "measured",
    [
        ("sst2", "accuracy", 0.2, 100, 2),
        ("classification", "accuracy", 0.01, 1000, 20),
        ("cola", "matthews_correlation", -0.2, 1000, 2),
        ("stsb", "pearson_spearman_mean", -0.5, 100, 1),
    ],
)
def test_worse_than_guessing_is_said(measured: tuple[Any, ...]) -> None:
    (said,) = warned(*measured)
    assert f"{measured[1]} is {measured[2]:.4f} on {measured[3]:,} examples, below the " in said
    assert ("--label-map" in said) == (TASKS[measured[0]].labels == "class")


@pytest.mark.parametrize(
    "measured",
    [
        ("sst2", "accuracy", 0.45, 100, 2),  # a guess may well be so low
        ("classification", "accuracy", 0.2, 100, 20),
        ("cola", "matthews_correlation", -0.05, 1000, 2),
        ("ner", "entity_f1", 0.0, 1000, 5),
        ("multilabel", "f1_micro", 0.0, 1000, 5),
    ],
)
def test_what_a_guess_may_give_is_not(measured: tuple[Any, ...]) -> None:
    assert warned(*measured) == []
