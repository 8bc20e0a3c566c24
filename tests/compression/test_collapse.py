"""Predicted losses that add up to more than guessing costs are reported, with the ratio at which they would not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.collapse import guessing_of, spread_of
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.errors import CompressionWarning
from fwsvd_export.fisher.targets import Prediction
from fwsvd_export.records import TEMPERATURE, Budget, RankLimits, RankRequest, Statistics
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
    said = re.search(r"add up to (\S+), and guessing costs (\S+) \(", sentence)
    assert said is not None
    assert statistics.sample is not None
    costs = guessing_from(tiny_model, statistics.sample.batches(), statistics).loss
    assert (said[1], said[2]) == (f"{predicted(small):.3g}", f"{costs:.3g}")
    assert predicted(small) > costs
    found = re.search(r"ask for a ratio of at least (0\.\d+)\.$", sentence)
    assert found is not None
    enough = float(found[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predicted(compressed(enough)) <= costs
    with pytest.warns(CompressionWarning, match=f"at least {enough:g}"):
        assert predicted(compressed(round(enough - 0.001, 3))) > costs


def test_limits_that_no_ratio_helps_are_named(tiny_model: Any, statistics: Statistics) -> None:
    limits = RankLimits(largest=1)
    with pytest.warns(CompressionWarning, match="no ratio does better under these limits of the ranks"):
        fe.compress(tiny_model, statistics=statistics, ratio=0.9, limits=limits, **PLAIN)


@pytest.mark.parametrize("method", ["svd", "fwsvd", "activation", "em"])
def test_losses_that_are_no_rises_of_the_tasks_loss_say_nothing(method: str, tiny_model: Any, batches: Batches) -> None:
    options = {"solver_options": {"tolerance": 0.9}} if method == "em" else {}
    small = fe.compress(tiny_model, batches, ratio=0.08, method=method, **options)
    assert small.compression.collapse is None


def guessing_from(model: Any, texts: Batches | None, collected: Statistics) -> Any:
    solver = SOLVERS["kfac"]
    size = RankRequest(Budget(ratio=0.5))
    return guessing_of(Inputs(encoder_of(model), solver, solver.options(), size, collected, None, texts))


def guessing(model: Any, batches: Batches, texts: Batches | None = None) -> Any:
    collected = fe.collect_statistics(model, batches, collect=("kfac",), labels="sampled")
    return guessing_from(model, texts, collected)


@pytest.mark.parametrize(
    ("class_name", "settings", "decisions"),
    [
        ("BertForSequenceClassification", {"num_labels": 7}, 1),
        ("BertForSequenceClassification", {"num_labels": 3, "problem_type": MULTI}, 3),
        ("BertForTokenClassification", {"num_labels": 5}, None),
    ],
)
@torch.no_grad()
def test_guessing_costs_what_predictions_differ_by_from_their_mean(
    class_name: str, settings: dict[str, Any], decisions: int | None, batches: Batches
) -> None:
    texts = [{name: values for name, values in batch.items() if name != "labels"} for batch in batches]
    model = tiny_head(class_name, **settings).eval()
    found = guessing(model, texts, texts)
    logits = [model(**batch).logits for batch in texts]
    if decisions is None:
        logits = [part[batch["attention_mask"].bool()] for part, batch in zip(logits, texts, strict=True)]
    scores = torch.cat(logits).double() / TEMPERATURE
    of_labels = torch.stack([scores.sigmoid(), (-scores).sigmoid()], dim=-1)  # a label has two outcomes
    chances = of_labels if decisions == 3 else scores.softmax(dim=-1)
    expected = (chances * (chances / chances.mean(dim=0)).log()).sum(dim=-1).mean()
    assert found.loss == pytest.approx(float(expected), rel=1e-4)
    assert f"temperature {TEMPERATURE:g}" in found.why
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    assert found.decisions == (decisions or tokens / sum(len(batch["input_ids"]) for batch in batches))


@pytest.mark.parametrize(
    ("class_name", "settings"),
    [
        ("BertForTokenClassification", {"num_labels": 1}),
        ("BertForMaskedLM", {}),
        ("BertForQuestionAnswering", {}),
        ("BertModel", {}),
    ],
)
def test_of_these_heads_it_is_not_known(class_name: str, settings: dict[str, Any], batches: Batches) -> None:
    texts = [{name: values for name, values in batch.items() if name != "labels"} for batch in batches]
    assert guessing(tiny_head(class_name, **settings), texts, texts) is None


def test_without_texts_it_is_not_known(tiny_model: Any, batches: Batches) -> None:
    assert guessing(tiny_model, batches) is None


def test_a_regressions_guess_costs_the_variance_of_its_predictions(batches: Batches) -> None:
    model = tiny_head("BertForSequenceClassification", num_labels=1, problem_type="regression").eval()
    with torch.no_grad():
        outputs = [model(batch["input_ids"], batch["attention_mask"]).logits for batch in batches]
    expected = float(torch.cat(outputs).var(correction=0))
    texts = labelled(batches, lambda ids: ids[:, :1].float())
    found = guessing(model, texts, texts)
    assert found.loss == pytest.approx(expected, rel=1e-4)
    assert found.why == "the variance of the predictions"
    assert guessing(model, texts, [{name: values[:1] for name, values in texts[0].items()}]) is None


@given(st.integers(1, 6), st.integers(2, 5), st.sampled_from(["categorical", "bernoulli", "gaussian"]))
def test_the_spread_is_zero_for_equal_predictions_and_never_less(count: int, classes: int, kind: str) -> None:
    same = Prediction(kind, torch.randn(1, 1, classes).expand(count, 1, classes), None)
    assert spread_of(same) == pytest.approx(0, abs=1e-9)
    assert spread_of(Prediction(kind, torch.randn(count, 1, classes), None)) >= -1e-12
