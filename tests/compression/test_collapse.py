"""Predicted losses that add up to more than guessing costs are reported, with the ratio at which they would not."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.collapse import guessing_of, spread_of
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.errors import CompressionWarning
from fwsvd_export.records import Budget, RankLimits, RankRequest, Statistics
from fwsvd_export.solvers.table import SOLVERS
from tests.helpers import tiny_head

Batches = list[dict[str, Tensor]]
PLAIN = {"reconstruct": False}
MULTI = "multi_label_classification"


def labelled(batches: Batches, make: Callable[[Tensor], Tensor]) -> Batches:
    """The same texts with other labels, made from the token ids."""
    return [{**batch, "labels": make(batch["input_ids"])} for batch in batches]


def predicted(small: Any) -> float:
    return float(sum(layer.predicted_loss for layer in small.compression.layers))


@pytest.mark.parametrize("allocate", ["greedy", "uniform"])
def test_the_ratio_that_is_named_is_the_smallest_below_guessing(
    allocate: str, tiny_model: Any, statistics: Statistics
) -> None:
    def compressed(ratio: float) -> Any:
        return fe.compress(tiny_model, statistics=statistics, ratio=ratio, allocate=allocate, **PLAIN)

    with pytest.warns(CompressionWarning, match="The predicted losses add up to") as caught:
        small = compressed(0.08)
    (sentence,) = small.compression.warnings
    assert [str(warning.message) for warning in caught] == [sentence] == [small.compression.collapse]
    assert predicted(small) > math.log(2)
    assert f"add up to {predicted(small):.3g}, and guessing costs 0.693 (log 2)" in sentence
    found = re.search(r"ask for a ratio of at least (0\.\d+)\.$", sentence)
    assert found is not None
    enough = float(found[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predicted(compressed(enough)) <= math.log(2)
    with pytest.warns(CompressionWarning, match=f"at least {enough:g}"):
        assert predicted(compressed(round(enough - 0.001, 3))) > math.log(2)


def test_limits_that_no_ratio_helps_are_named(tiny_model: Any, statistics: Statistics) -> None:
    limits = RankLimits(largest=1)
    with pytest.warns(CompressionWarning, match="no ratio does better under these limits of the ranks"):
        fe.compress(tiny_model, statistics=statistics, ratio=0.9, limits=limits, **PLAIN)


@pytest.mark.parametrize("method", ["svd", "fwsvd", "activation", "em"])
def test_losses_that_are_no_rises_of_the_tasks_loss_say_nothing(method: str, tiny_model: Any, batches: Batches) -> None:
    options = {"solver_options": {"tolerance": 0.9}} if method == "em" else {}
    small = fe.compress(tiny_model, batches, ratio=0.08, method=method, **options)
    assert small.compression.collapse is None


def guessing(model: Any, batches: Batches, texts: Batches | None = None) -> Any:
    collected = fe.collect_statistics(model, batches, collect=("kfac",), labels="sampled")
    solver = SOLVERS["kfac"]
    size = RankRequest(Budget(ratio=0.5))
    return guessing_of(Inputs(encoder_of(model), solver, solver.options(), size, collected, None, texts))


@pytest.mark.parametrize(
    ("class_name", "settings", "loss", "decisions"),
    [
        ("BertForSequenceClassification", {"num_labels": 7}, math.log(7), 1),
        ("BertForSequenceClassification", {"num_labels": 3, "problem_type": MULTI}, math.log(2), 3),
        ("BertForTokenClassification", {"num_labels": 1}, None, None),
        ("BertForTokenClassification", {"num_labels": 5}, math.log(5), None),
        ("BertForMaskedLM", {}, None, 1),
        ("BertForQuestionAnswering", {}, None, 1),
        ("BertModel", {}, None, 1),
        ("BertForSequenceClassification", {"num_labels": 1}, None, 1),
    ],
)
def test_what_guessing_costs(
    class_name: str, settings: dict[str, Any], loss: float | None, decisions: int | None, batches: Batches
) -> None:
    texts = [{name: values for name, values in batch.items() if name != "labels"} for batch in batches]
    found = guessing(tiny_head(class_name, **settings), texts)
    if loss is None:
        assert found is None
        return
    assert found.loss == pytest.approx(loss)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    assert found.decisions == (decisions or tokens / sum(len(batch["input_ids"]) for batch in batches))


def test_a_regressions_guess_costs_the_variance_of_its_predictions(batches: Batches) -> None:
    model = tiny_head("BertForSequenceClassification", num_labels=1, problem_type="regression")
    with torch.no_grad():
        outputs = [model(batch["input_ids"], batch["attention_mask"]).logits for batch in batches]
    expected = float(torch.cat(outputs).var(correction=0))
    texts = labelled(batches, lambda ids: ids[:, :1].float())
    assert guessing(model, texts, texts).loss == pytest.approx(expected, rel=1e-4)
    assert spread_of(encoder_of(model), texts) == pytest.approx(expected, rel=1e-4)
    assert guessing(model, texts, [{name: values[:1] for name, values in texts[0].items()}]) is None
