"""The task's metric of a model: it is asked for its predictions, and these are scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from fwsvd_export.architectures.embed import mean_pooled
from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.data.tasks import WITHOUT_CLASSES, Task
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.answers import Answers
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.measures import averaged, is_agreement
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.ranking import ranking_outcomes
from fwsvd_export.evaluation.retrieval import retrieval_outcomes
from fwsvd_export.evaluation.scores import Names, scorer_of
from fwsvd_export.evaluation.similarity import agreement_outcomes, pair_outcomes
from fwsvd_export.records import Measurement


def evaluate_model(model: Any, batches: Iterable[Mapping[str, Tensor]], task: Task) -> Measurement:
    """Runs the model over labelled batches and scores its predictions.

    Args:
        model: with a head for sequence or token classification or question answering, or a bare encoder where
            embeddings are compared; in evaluation mode; a torch model, or one that is called like it and has ``config``
            and ``device`` (``export.session.OnnxModel``).
        batches: with labels; those of ``load_batches`` know how the model's embeddings are made.
        task: names the metric; its names of classes stand in place of the model's.

    Raises:
        DataError: a task without a metric, batches without labels, a model with another head, or one whose names of
            classes are not tags of entities where the metric needs them.
        MissingExtraError: the metric's library is not installed.
        WeightError: predictions that are not finite.
    """
    return measured(model, batches, task)[0]


def measured(
    model: Any, batches: Iterable[Mapping[str, Tensor]], task: Task, read: Any = None
) -> tuple[Measurement, Outcomes]:
    """As ``evaluate_model``, with what the model said of every example, in the order of the batches.

    Args:
        model: as there.
        batches: as there.
        task: as there.
        read: the ``Batches`` that the batches are of, where these are watched; they know how texts are embedded.
    """
    metric = metric_of(task)
    names = names_of(model, task)
    score = scorer_of(task, names)  # what is missing fails before any forward pass
    forward = Forward(model, task)
    outcomes = _outcomes(forward, batches, task, names, batches if read is None else read)
    if not outcomes.references:
        raise DataError("there are no examples to score; give at least one batch")
    values = score(outcomes.references, outcomes.predictions)
    main = values.pop(metric)
    return Measurement(metric, main, len(outcomes.references), forward.seconds, values), outcomes


def _outcomes(
    forward: Forward, batches: Iterable[Mapping[str, Tensor]], task: Task, names: Names, read: Any
) -> Outcomes:
    if task.labels == "span":
        return _answers(forward, batches)
    if task.labels == "retrieval":
        return retrieval_outcomes(forward, batches, read)
    if task.labels == "rank":
        return ranking_outcomes(forward, batches, read)
    if task.embeds_texts:
        compared = agreement_outcomes if is_agreement(task) else pair_outcomes
        return compared(forward, batches, getattr(read, "embed", mean_pooled))
    return _labels(forward, batches, task, names)


def names_of(model: Any, task: Task) -> Names:
    """What the classes are called, by number; nothing for a task without classes."""
    if task.labels in WITHOUT_CLASSES:
        return {}
    return dict(model.config.id2label) if task.label_names is None else dict(enumerate(task.label_names))


def _labels(forward: Forward, batches: Iterable[Mapping[str, Tensor]], task: Task, names: Names) -> Outcomes:
    outcomes = Outcomes()
    for batch in batches:
        if "labels" not in batch:
            raise DataError("a batch has no labels; name the label column")
        (logits,) = forward(batch)
        _append(task, names, logits, batch["labels"], outcomes)
    return outcomes


def _answers(forward: Forward, batches: Iterable[Mapping[str, Tensor]]) -> Outcomes:
    """An example is a question with all its windows."""
    answers = Answers()
    for batch in batches:
        answers.add(batch, *forward(batch))
    return Outcomes(answers.questions(), list(answers.texts().values()))


def metric_of(task: Task) -> str:
    """Name of the task's main metric.

    Raises:
        DataError: a task without labels or metric.
    """
    if measures := averaged(task):
        return measures[0]
    if task.metric is None or task.label is None:
        raise DataError(f"task {task.name} has no labels and no metric; choose one that has")
    return task.metric


def _append(task: Task, names: Names, logits: Tensor, labels: Tensor, outcomes: Outcomes) -> None:
    """Adds a batch's references and predictions."""
    if task.labels == "number":
        outcomes.add(labels.tolist(), logits[:, 0].tolist())
    elif task.labels == "class":
        outcomes.add(labels.tolist(), logits.argmax(dim=-1).tolist())
    elif task.labels == "multilabel":
        outcomes.add(labels.int().tolist(), (logits > 0).int().tolist())  # a probability above one half
    else:
        for row, classes in zip(labels, logits.argmax(dim=-1), strict=True):
            kept = row != IGNORED_LABEL
            outcomes.add(*([[names[int(label)] for label in side[kept]]] for side in (row, classes)))
