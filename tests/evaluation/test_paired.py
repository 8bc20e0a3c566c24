"""The interval of a difference: exact bounds where there are any, coverage, and what two models have in common."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from torch import Tensor

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.metrics import evaluate_model
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from tests.evaluation.pairs import PAIRS, TAGS

NAMES = {"ner": dict(enumerate(TAGS)), "pos": dict(enumerate(TAGS)), "stsb": {0: "LABEL_0"}}


class Said:
    """A model whose predictions are known: called with the numbers of the examples."""

    device = torch.device("cpu")

    def __init__(self, logits: Tensor, names: dict[int, str] | None = None) -> None:
        self.logits, self.config = logits, SimpleNamespace(id2label=names or {0: "no", 1: "yes"})

    def __call__(self, rows: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits[rows])


class Ordered(list[dict[str, Tensor]]):
    """Batches that know the numbers of their examples."""

    indices: tuple[int, ...] = ()


def batches_of(labels: Tensor, order: list[int], size: int = 7) -> Ordered:
    parts = [torch.tensor(order[start : start + size]) for start in range(0, len(order), size)]
    found = Ordered({"rows": rows, "labels": labels[rows]} for rows in parts)
    found.indices = tuple(order)
    return found


def classifier(references: Any, predictions: Any, task: str = "sst2", order: list[int] | None = None) -> Scored:
    """What a model says whose classes are known."""
    labels, said = torch.as_tensor(references), torch.as_tensor(predictions).long()
    count = int(max(labels.max(), said.max())) + 1
    names = {number: f"class {number}" for number in range(max(2, count))}
    model = Said(torch.nn.functional.one_hot(said, len(names)).float(), names)
    return scored(model, batches_of(labels, order or list(range(len(labels)))), TASKS[task])


def lost(count: int, won: int, examples: int) -> Difference:
    """Of a model that lost so many answers of the dense one's, and won others."""
    right = np.zeros(examples, dtype=int)
    dense, ours = right.copy(), right.copy()
    ours[:count] = 1
    dense[count : count + won] = 1
    return paired_difference(classifier(right, ours), classifier(right, dense), "dense")


@pytest.mark.parametrize("count", [1, 2, 5, 20, 60])
def test_answers_that_are_lost_alone_have_nearly_the_exact_interval(count: int) -> None:
    found = lost(count, 0, 400)
    exact = binomtest(count, 400).proportion_ci(0.95)  # Clopper and Pearson
    assert found.value == pytest.approx(-count / 400)
    assert -found.low * 400 == pytest.approx(exact.high * 400, abs=1.0 + 0.05 * count)
    assert -found.high * 400 == pytest.approx(exact.low * 400, abs=1.0 + 0.05 * count)


def test_many_losses_and_wins_have_the_interval_of_the_normal_distribution() -> None:
    found = lost(60, 40, 1000)
    error = math.sqrt((100 / 1000 - 0.02**2) / 1000)
    assert found.low == pytest.approx(-0.02 - norm.ppf(0.975) * error, abs=0.001)
    assert found.high == pytest.approx(-0.02 + norm.ppf(0.975) * error, abs=0.001)
    assert (found.examples, found.dense, found.changed, found.confidence) == (1000, 0.96, 100, 0.95)


def test_more_examples_than_are_left_out_one_by_one_have_percentiles() -> None:
    found = lost(600, 400, 10_000)
    error = math.sqrt((0.1 - 0.02**2) / 10_000)
    assert (found.high - found.low) / 2 == pytest.approx(norm.ppf(0.975) * error, rel=0.05)


def test_an_interval_that_is_surer_is_wider() -> None:
    right = [0] * 200
    ours, dense = classifier(right, [1] * 12 + [0] * 188), classifier(right, [0] * 190 + [1] * 10)
    widths = [
        found.high - found.low
        for found in (paired_difference(ours, dense, "dense", confidence) for confidence in (0.6, 0.9, 0.99))
    ]
    assert widths == sorted(widths)
    assert widths[0] < 0.6 * widths[1]


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator, missed = np.random.default_rng(0), 0
    runs, examples, loses, wins = 80, 150, 0.08, 0.04
    for _ in range(runs):
        kinds = generator.choice(3, size=examples, p=[loses, wins, 1 - loses - wins])
        right = np.zeros(examples, dtype=int)
        found = paired_difference(classifier(right, kinds == 0), classifier(right, kinds == 1), "dense")
        missed += not found.low <= wins - loses <= found.high
    assert binomtest(missed, runs, 0.05).pvalue > 0.01
    assert missed <= 0.1 * runs


@pytest.mark.filterwarnings("ignore")  # of metrics that are not defined on so few examples
@pytest.mark.parametrize("task", PAIRS)
@settings(max_examples=25)
@given(data=st.data())
def test_any_two_models_have_an_interval(task: str, data: st.DataObject) -> None:
    triples = data.draw(
        st.lists(st.tuples(PAIRS[task], PAIRS[task]), min_size=2, max_size=9).filter(
            lambda found: task != "stsb" or len({pair[0] for pair, _ in found}) > 1
        )
    )
    references = [first[0] for first, _ in triples]
    sides = [[first[1] for first, _ in triples], [second[1] for _, second in triples]]
    if task in ("ner", "pos"):  # as many tags as there are words
        sides = [
            [
                [said[place % len(said)] for place in range(len(tags))]
                for tags, said in zip(references, side, strict=True)
            ]
            for side in sides
        ]
    ours, dense = (measured(task, references, side) for side in sides)
    found = paired_difference(ours, dense, "dense")
    values = [{one.measurement.metric: one.measurement.value, **one.measurement.beside} for one in (ours, dense)]
    intervals = {ours.measurement.metric: found.interval, **found.beside}
    assert intervals.keys() == values[0].keys()
    for name, interval in intervals.items():
        assert interval.value == values[0][name] - values[1][name]
        assert math.isfinite(interval.low)
        assert -2 <= interval.low <= interval.high <= 2
    itself = paired_difference(ours, ours, "itself")
    assert {(one.value, one.low, one.high) for one in (itself.interval, *itself.beside.values())} == {(0.0, 0.0, 0.0)}
    assert itself.changed == 0


def measured(task: str, references: list[Any], predictions: list[Any]) -> Scored:
    """What a model says that predicts these."""
    tags = {name: number for number, name in enumerate(TAGS)}
    if task in ("ner", "pos"):
        longest = max(map(len, references))
        labels = torch.tensor([[*(tags[tag] for tag in row), *[-100] * (longest - len(row))] for row in references])
        said = torch.tensor([[*(tags[tag] for tag in row), *[0] * (longest - len(row))] for row in predictions])
        logits = torch.nn.functional.one_hot(said, len(TAGS)).float()
    elif task == "stsb":
        labels, logits = torch.tensor(references), torch.tensor(predictions)[:, None]
    elif task == "multilabel":
        labels, logits = torch.tensor(references), torch.tensor(predictions).float() - 0.5
    else:
        labels, logits = torch.tensor(references), torch.nn.functional.one_hot(torch.tensor(predictions), 4).float()
    names = NAMES.get(task, {number: f"class {number}" for number in range(4)})
    return scored(Said(logits, names), batches_of(labels, list(range(len(references)))), TASKS[task])


def test_turned_round_a_difference_has_the_other_sign() -> None:
    generator = np.random.default_rng(3)
    right = generator.integers(0, 2, 300)
    ours, dense = (
        classifier(right, np.where(generator.random(300) < share, 1 - right, right), "mrpc") for share in (0.2, 0.1)
    )
    there, back = paired_difference(ours, dense, "dense"), paired_difference(dense, ours, "ours")
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low), abs=1e-9)
    assert there.beside.keys() == {"f1"}
    assert there.beside["f1"].low < there.beside["f1"].value < there.beside["f1"].high < 0


def test_the_seed_alone_chooses_the_resamples() -> None:
    right = [0] * 100
    ours, dense = classifier(right, [1] * 9 + [0] * 91), classifier(right, [0] * 95 + [1] * 5)
    first, again, other = (paired_difference(ours, dense, "dense", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.low == pytest.approx(other.low, abs=0.02)


def test_examples_are_told_by_their_numbers_in_whatever_order_they_come() -> None:
    right, ours = [0, 1] * 20, [0, 1] * 15 + [1, 0] * 5
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    plain, mixed = classifier(right, ours), classifier(right, ours, order=order)
    assert (mixed.numbers, mixed.outcomes) == (plain.numbers, plain.outcomes)
    assert paired_difference(mixed, plain, "dense").changed == 0
    assert classifier(right, ours, order=order[:20]).numbers == tuple(sorted(order[:20]))


def test_what_is_scored_is_what_evaluate_measures() -> None:
    logits, labels = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 2
    batches = batches_of(labels, list(range(30)))
    found, expected = (score(Said(logits), batches, TASKS["mrpc"]) for score in (scored, evaluate_model))
    assert replace(found.measurement, seconds=0.0) == replace(expected, seconds=0.0)


def test_the_digest_of_the_dense_model_is_kept() -> None:
    found = classifier([0, 1, 1], [0, 1, 0])
    dense = replace(found, measurement=replace(found.measurement, sha256="d" * 64))
    assert paired_difference(found, dense, "dense").against_sha256 == "d" * 64


def test_one_example_is_all_there_is() -> None:
    found = paired_difference(classifier([1], [0]), classifier([1], [1]), "dense")
    assert (found.value, found.low, found.high) == (-1, -1, -1)


def test_classes_in_another_order_are_the_same_classes() -> None:
    right, ours = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 0])
    names = ({0: "no", 1: "yes"}, {0: "yes", 1: "no"})
    first = Said(torch.nn.functional.one_hot(ours, 2).float(), names[0])
    second = Said(torch.nn.functional.one_hot(1 - right, 2).float(), names[1])
    task, order = TASKS["sst2"], [0, 1, 2, 3]
    mine, its = scored(first, batches_of(right, order), task), scored(second, batches_of(1 - right, order), task)
    found = paired_difference(mine, its, "dense")
    assert (found.value, found.changed) == (-0.25, 1)


@pytest.mark.parametrize("task", ["mrpc", "multilabel"])
def test_what_is_said_in_another_order_of_the_classes_is_the_same(task: str) -> None:
    words = (["no", "yes"], ["yes", "no"]) if task == "mrpc" else (["no", "yes", "never"], ["never", "no", "yes"])
    orders = [[words[0].index(name) for name in side] for side in words]
    said, right = (torch.rand(60, len(words[0]), generator=torch.Generator().manual_seed(seed)) for seed in (5, 6))
    sides = []
    for names, order in zip(words, orders, strict=True):
        labels = (right > 0.5).float()[:, order] if task == "multilabel" else right[:, order].argmax(dim=1)
        model = Said(said[:, order] - 0.5, dict(enumerate(names)))
        sides.append(scored(model, batches_of(labels, list(range(60))), TASKS[task]))
    found = paired_difference(*sides, "dense")
    assert found.changed == 0
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.beside
    assert all((other.value, other.low, other.high) == (0, 0, 0) for other in found.beside.values())


@pytest.mark.parametrize(
    ("task", "others"), [("sst2", [0, 1, 0]), ("multilabel", [[0, 1], [1, 1], [1, 0]]), ("stsb", [0.0, 1.0, 2.0])]
)
def test_other_labels_are_refused(task: str, others: list[Any]) -> None:
    references = {"sst2": [0, 1, 1], "multilabel": [[0, 1], [1, 1], [0, 0]], "stsb": [0.0, 1.0, 3.0]}[task]
    ours, dense = measured(task, references, references), measured(task, others, references)
    with pytest.raises(DataError) as caught:
        paired_difference(ours, dense, "dense")
    assert str(caught.value) == (
        "the two models were scored on different labels of example 3: give both the same classes (--label-names, "
        "--label-map) and room for whole examples (--max-length)"
    )


def test_other_examples_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        paired_difference(classifier([0, 1, 1], [0, 1, 1]), classifier([0, 1], [0, 1]), "dense")
    assert "scored on different examples (3 and 2), and a difference is taken over the same ones" in str(caught.value)


def test_a_confidence_that_is_not_allowed_is_refused() -> None:
    found = classifier([0, 1], [0, 1])
    with pytest.raises(DataError, match="confidence 95: a number above 0"):
        paired_difference(found, found, "dense", confidence=95)


def test_without_scipy_the_line_that_installs_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = classifier([0, 1], [0, 1])
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        MissingExtraError, match=r'this needs scipy, which is not installed: pip install "fwsvd-export\['
    ):
        paired_difference(found, found, "dense")
