"""The task's metric of a model, by scikit-learn, SciPy and seqeval."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from torch import Tensor

from fwsvd_export.data.batches import IGNORED_LABEL
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, MissingExtraError, listed, shown
from fwsvd_export.evaluation.answers import Answers
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.records import Measurement

Names = Mapping[int, str]
"""Of the model's classes."""
Score = Callable[[list[Any], list[Any]], dict[str, float]]
"""(references, predictions) -> metrics by name."""

_ENTITY_TAG = re.compile(r"O|[BIES](-.+)?")  # IOB1, IOB2 and IOBES; a tag may stand without a type
_NO_EXAMPLES = "there are no examples to score; give at least one batch"
_F1_TASKS = ("mrpc", "qqp")  # GLUE reports F1 beside the accuracy of these two


@dataclass
class Pairs:
    """What should have been predicted, and what was; an entry per example."""

    references: list[Any] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)

    def add(self, references: list[Any], predictions: list[Any]) -> None:
        """Some more examples."""
        self.references.extend(references)
        self.predictions.extend(predictions)


def evaluate_model(model: Any, batches: Iterable[Mapping[str, Tensor]], task: Task) -> Measurement:
    """Runs the model over labelled batches and scores its predictions.

    Args:
        model: with a head for sequence or token classification or question answering, in evaluation mode; a torch
            model, or one that is called like it and has ``config`` and ``device`` (``export.session.OnnxModel``).
        batches: with labels.
        task: names the metric; its names of classes stand in place of the model's.

    Raises:
        DataError: a task without a metric, batches without labels, a model with another head, or one whose names of
            classes are not tags of entities where the metric needs them.
        MissingExtraError: the metric's library is not installed.
        WeightError: predictions that are not finite.
    """
    metric = metric_of(task)
    forward = Forward(model, task)
    if task.labels == "span":
        examples, values = _measured_answers(forward, batches)
    else:
        examples, values = _measured_labels(forward, batches, task, model.config)
    main = values.pop(metric)
    return Measurement(metric, main, examples, forward.seconds, values)


def _measured_labels(
    forward: Forward, batches: Iterable[Mapping[str, Tensor]], task: Task, config: Any
) -> tuple[int, dict[str, float]]:
    """How many examples there are, and metrics by name."""
    names = config.id2label if task.label_names is None else dict(enumerate(task.label_names))
    score = _scorer(task, names)
    pairs = Pairs()
    for batch in batches:
        if "labels" not in batch:
            raise DataError("a batch has no labels; name the label column")
        (logits,) = forward(batch)
        _append(task, names, logits, batch["labels"], pairs)
    if not pairs.references:
        raise DataError(_NO_EXAMPLES)
    return len(pairs.references), score(pairs.references, pairs.predictions)


def _measured_answers(forward: Forward, batches: Iterable[Mapping[str, Tensor]]) -> tuple[int, dict[str, float]]:
    """As ``_measured_labels``; an example is a question with all its windows."""
    answers = Answers()
    for batch in batches:
        answers.add(batch, *forward(batch))
    if not len(answers):
        raise DataError(_NO_EXAMPLES)
    return len(answers), answers.metrics()


def metric_of(task: Task) -> str:
    """Name of the task's main metric.

    Raises:
        DataError: a task without labels or metric.
    """
    if task.metric is None or task.label is None:
        raise DataError(f"task {task.name} has no labels and no metric; choose one that has")
    return task.metric


def _append(task: Task, names: Names, logits: Tensor, labels: Tensor, pairs: Pairs) -> None:
    """Adds a batch's references and predictions, in the form that the task's score takes."""
    if task.labels == "number":
        pairs.add(labels.tolist(), logits[:, 0].tolist())
    elif task.labels == "class":
        pairs.add(labels.tolist(), logits.argmax(dim=-1).tolist())
    elif task.labels == "multilabel":
        pairs.add(labels.int().tolist(), (logits > 0).int().tolist())  # a probability above one half
    else:
        for row, classes in zip(labels, logits.argmax(dim=-1), strict=True):
            kept = row != IGNORED_LABEL
            pairs.add(*([[names[int(label)] for label in side[kept]]] for side in (row, classes)))


def _scorer(task: Task, names: Names) -> Score:
    """The function that turns references and predictions into metrics by name; fails before any forward pass."""
    try:
        if task.metric == "entity_f1":
            return _entity_f1(names)
        if task.metric == "pearson_spearman_mean":
            return _correlations()
        if task.metric == "f1_micro":
            return _multilabel_f1()
        return _classification(task)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "train") from error


def _entity_f1(names: Names) -> Score:
    """Of tags in the forms that seqeval reads; it would take any other for an entity."""
    from seqeval.metrics import f1_score

    others = [name for name in names.values() if not _ENTITY_TAG.fullmatch(name)]
    if others:
        raise DataError(
            f"the model calls its classes {listed(names.values())}: entities are read off tags like O, B-TYPE and "
            f"I-TYPE, and {shown(others[0])} is not one; give the names in the order of the classes with --label-names "
            "O,B-TYPE,…, or score single words with --task pos"
        )
    return lambda references, predictions: {"entity_f1": float(f1_score(references, predictions))}


def _multilabel_f1() -> Score:
    from sklearn.metrics import f1_score

    return lambda references, predictions: {
        f"f1_{average}": float(f1_score(references, predictions, average=average, zero_division=0.0))
        for average in ("micro", "macro")
    }


def _correlations() -> Score:
    from scipy.stats import pearsonr, spearmanr

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        if len(set(references)) < 2:
            raise DataError("a correlation needs at least two different labels in the data")
        if len(set(predictions)) < 2:  # a model that says the same of everything tells nothing
            return {"pearson_spearman_mean": 0.0, "pearson": 0.0, "spearman": 0.0}
        pearson = float(pearsonr(references, predictions).statistic)
        spearman = float(spearmanr(references, predictions).statistic)
        return {"pearson_spearman_mean": (pearson + spearman) / 2, "pearson": pearson, "spearman": spearman}

    return score


def _classification(task: Task) -> Score:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        if task.labels == "tokens":
            references, predictions = list(chain(*references)), list(chain(*predictions))
        if task.metric == "matthews_correlation":
            return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}
        values = {"accuracy": float(accuracy_score(references, predictions))}
        if task.name in _F1_TASKS:
            values["f1"] = float(f1_score(references, predictions))
        return values

    return score
