"""The tasks' metrics of many resamples at once, each given by how often every example is in it.

All but the correlations are functions of sums over examples, so that a resample costs one row of a matrix product. A
metric of a resample is what ``metrics.evaluate_model`` gives for its examples; where that has no value, it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fwsvd_export.data.tasks import Task
from fwsvd_export.evaluation.answers import scores_of
from fwsvd_export.evaluation.measures import averaged, is_agreement
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.scores import F1_TASKS

Array = NDArray[np.float64]
Metric = Callable[[Array], Array]
"""(resamples, examples) how often each example is in each resample -> (resamples) the metric."""
Metrics = Callable[[Array], dict[str, Array]]
"""Likewise, several metrics by name."""


def metrics_of(task: Task, outcomes: Outcomes) -> Metrics:
    """The metrics of a task, the same that ``evaluate_model`` gives.

    Args:
        task: names the main metric.
        outcomes: of all examples, at least one.

    Example:
        >>> from fwsvd_export.data.tasks import TASKS
        >>> metrics = metrics_of(TASKS["sst2"], Outcomes([0, 1, 1], [0, 1, 0]))
        >>> metrics(np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]))["accuracy"].round(3).tolist()
        [0.667, 0.333]
    """
    if task.metric in ("pearson_spearman_mean", "cosine_spearman") and not is_agreement(task):
        both = _correlations(*(np.array(side, dtype=float) for side in (outcomes.references, outcomes.predictions)))
        return both if task.metric == "pearson_spearman_mean" else _of_cosines(both)
    found = _of_sums(task, outcomes.references, outcomes.predictions)
    return lambda weights: {name: metric(weights) for name, metric in found.items()}


def _of_sums(task: Task, references: list[Any], predictions: list[Any]) -> dict[str, Metric]:
    """The metrics that are functions of sums over examples."""
    if measures := averaged(task):
        columns = np.array(predictions, dtype=float).T
        return {name: _ratio(column, np.ones(len(column))) for name, column in zip(measures, columns, strict=True)}
    if task.labels == "span":
        return _answers(references, predictions)
    if task.metric == "entity_f1":
        return {"entity_f1": _f1(*_entities(references, predictions))}
    if task.labels == "multilabel":
        return _multilabel(np.array(references, dtype=float), np.array(predictions, dtype=float))
    if task.labels == "tokens":
        right = [sum(map(str.__eq__, *pair)) for pair in zip(references, predictions, strict=True)]
        return {"accuracy": _ratio(_column(right), _column([len(words) for words in references]))}
    return _classes(task, np.array(references), np.array(predictions))


def _of_cosines(both: Metrics) -> Metrics:
    def metrics(weights: Array) -> dict[str, Array]:
        found = both(weights)
        return {f"cosine_{name}": found[name] for name in ("spearman", "pearson")}

    return metrics


def _classes(task: Task, references: NDArray[np.int64], predictions: NDArray[np.int64]) -> dict[str, Metric]:
    """Of one class per example."""
    if task.metric == "matthews_correlation":
        return {"matthews_correlation": _matthews(references, predictions)}
    found = {"accuracy": _ratio((references == predictions).astype(float), np.ones(len(references)))}
    if task.name in F1_TASKS:
        said, true = (predictions == 1).astype(float), (references == 1).astype(float)
        found["f1"] = _f1(said * true, said, true)
    return found


def _multilabel(references: Array, predictions: Array) -> dict[str, Metric]:
    """Of 0 or 1 for every class: (examples, classes)."""
    hits = references * predictions
    by_class = _f1(hits, predictions, references)
    return {
        "f1_micro": _f1(*(counts.sum(axis=1) for counts in (hits, predictions, references))),
        "f1_macro": lambda weights: by_class(weights).mean(axis=1),
    }


def _answers(questions: list[Any], texts: list[str]) -> dict[str, Metric]:
    """Of answers to questions."""
    scores = np.array([scores_of(text, question) for text, question in zip(texts, questions, strict=True)])
    exact, f1 = scores.T
    found = {"exact_match": _ratio(exact, np.ones(len(exact))), "f1": _ratio(f1, np.ones(len(f1)))}
    answered = np.array([bool(question.answers) for question in questions])
    for name, chosen in (("has_answer_f1", answered), ("no_answer_f1", ~answered)):
        if chosen.any() and not answered.all():
            found[name] = _ratio(f1 * chosen, chosen.astype(float))
    return found


def _entities(references: list[Any], predictions: list[Any]) -> tuple[Array, Array, Array]:
    """Per example how many entities are found, said and there."""
    from seqeval.metrics.sequence_labeling import get_entities

    pairs = [
        (set(get_entities(tags)), set(get_entities(said))) for tags, said in zip(references, predictions, strict=True)
    ]
    counts = [(len(there & said), len(said), len(there)) for there, said in pairs]
    hits, said, true = np.array(counts, dtype=float).T
    return hits, said, true


def _ratio(part: Array, whole: Array) -> Metric:
    """A ratio of two sums over examples; (examples) or (examples, classes) each."""
    return lambda weights: _quotient(weights @ part, weights @ whole)


def _f1(hits: Array, said: Array, true: Array) -> Metric:
    """The harmonic mean of precision and recall, from counts per example."""
    return _ratio(2 * hits, said + true)


def _quotient(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _column(values: list[int]) -> Array:
    return np.array(values, dtype=float)


def _matthews(references: NDArray[np.int64], predictions: NDArray[np.int64]) -> Metric:
    """Of any number of classes (Gorodkin 2004, as scikit-learn has it)."""
    known = np.unique(np.concatenate([references, predictions]))
    true, said = ((side[:, None] == known).astype(float) for side in (references, predictions))
    right = (references == predictions).astype(float)

    def metric(weights: Array) -> Array:
        number, hits, truths, claims = weights.sum(axis=1), weights @ right, weights @ true, weights @ said
        covariance = hits * number - (truths * claims).sum(axis=1)
        spreads = (number**2 - (truths**2).sum(axis=1)) * (number**2 - (claims**2).sum(axis=1))
        return _quotient(covariance, np.sqrt(spreads))

    return metric


def _correlations(references: Array, predictions: Array) -> Metrics:
    """Pearson's, Spearman's with ranks taken again in every resample, and their mean."""
    left, right = _Side.of(references), _Side.of(predictions)

    def metrics(weights: Array) -> dict[str, Array]:
        left_ranks, right_ranks = left.ranks(weights), right.ranks(weights)
        spearman, varied = _correlation(weights, left_ranks, right_ranks)
        pearson, _ = _correlation(weights, left.centred(weights), right.centred(weights))
        pearson = np.where(varied, pearson, 0)  # ranks are exact, and so is whether they have a spread
        return {"pearson_spearman_mean": (pearson + spearman) / 2, "pearson": pearson, "spearman": spearman}

    return metrics


def _correlation(weights: Array, left: Array, right: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Pearson's correlation of two sides that are centred in every resample, and where both have a spread."""
    weighted = weights * left
    spreads = np.einsum("ij,ij->i", weighted, left) * np.einsum("ij,ij->i", weights * right, right)
    covariance = np.einsum("ij,ij->i", weighted, right)
    return np.clip(_quotient(covariance, np.sqrt(spreads)), -1, 1), spreads > 0


@dataclass(frozen=True)
class _Side:
    """The numbers on one side of a correlation.

    Attributes:
        values: (examples).
        order: the examples by value.
        starts: where in that order each different value begins.
        group: (examples), which of the different values each example has, from the smallest on.
    """

    values: Array
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    group: NDArray[np.int64]

    @classmethod
    def of(cls, values: Array) -> _Side:
        """The side of some numbers."""
        values = values / (np.abs(values).max() or 1.0)  # squares of tiny ones would vanish; a correlation has no scale
        different, group = np.unique(values, return_inverse=True)
        order = np.argsort(group, kind="stable")
        return cls(values, order, np.searchsorted(group[order], np.arange(len(different))), group)

    def centred(self, weights: Array) -> Array:
        """(resamples, examples) the numbers, less their mean in each resample."""
        means: Array = weights @ self.values / weights.sum(axis=1)
        return self.values - means[:, None]

    def ranks(self, weights: Array) -> Array:
        """(resamples, examples) ranks in each resample, less their mean; equal values share the mean of their ranks."""
        sizes = np.add.reduceat(weights[:, self.order], self.starts, axis=1)  # of the groups of equal values
        ranks: Array = np.cumsum(sizes, axis=1) - (sizes + weights.sum(axis=1, keepdims=True)) / 2
        return ranks[:, self.group]
