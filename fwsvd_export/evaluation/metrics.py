"""The task's metric of a model, by scikit-learn, SciPy and seqeval."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.data.batches import IGNORED_LABEL
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, MissingExtraError, WeightError
from fwsvd_export.records import Measurement

_F1_TASKS = ("mrpc", "qqp")  # GLUE reports F1 beside the accuracy of these two


def evaluate_model(model: Any, batches: Iterable[Mapping[str, Tensor]], task: Task) -> Measurement:
    """Runs the model over labelled batches and scores its predictions.

    Args:
        model: with a sequence or token classification head, in evaluation mode; a torch model, or one that is called
            like it and has ``config`` and ``device`` (``export.session.OnnxModel``).
        batches: with labels.
        task: names the metric.

    Raises:
        DataError: a task without a metric, batches without labels, or a model with another head.
        MissingExtraError: the metric's library is not installed.
        WeightError: predictions that are not finite.
    """
    metric = metric_of(task)
    score = _scorer(task)
    device = model.device
    references: list[Any] = []
    predictions: list[Any] = []
    seconds = 0.0
    with torch.inference_mode():
        for batch in batches:
            if "labels" not in batch:
                raise DataError("a batch has no labels; name the label column")
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            start = time.perf_counter()
            logits = _logits(model(**inputs), task)
            seconds += time.perf_counter() - start
            if not bool(torch.isfinite(logits).all()):
                raise WeightError("the model predicts NaN or infinite values; its weights are damaged")
            _append(task, model.config, logits, batch["labels"], references, predictions)
    values = score(references, predictions)
    main = values.pop(metric)
    return Measurement(metric, main, len(references), seconds, values)


def _logits(outputs: Any, task: Task) -> Tensor:
    """The predictions: a row of numbers per example, or per token where the task labels tokens."""
    logits: Tensor | None = getattr(outputs, "logits", None)
    dimensions, head = (3, "token") if task.labels == "tokens" else (2, "sequence")
    if logits is None or logits.dim() != dimensions:
        raise DataError(f"task {task.name} needs a model with a {head} classification head, and this one has another")
    return logits.float().cpu()


def metric_of(task: Task) -> str:
    """Name of the task's main metric.

    Raises:
        DataError: a task without labels or metric.
    """
    if task.metric is None or task.label is None:
        raise DataError(f"task {task.name} has no labels and no metric; choose one that has")
    return task.metric


def _append(
    task: Task, config: Any, logits: Tensor, labels: Tensor, references: list[Any], predictions: list[Any]
) -> None:
    if task.labels == "number":
        references.extend(labels.tolist())
        predictions.extend(logits[:, 0].tolist())
    elif task.labels == "class":
        references.extend(labels.tolist())
        predictions.extend(logits.argmax(dim=-1).tolist())
    else:
        for row, classes in zip(labels, logits.argmax(dim=-1), strict=True):
            kept = row != IGNORED_LABEL
            references.append([config.id2label[int(label)] for label in row[kept]])
            predictions.append([config.id2label[int(label)] for label in classes[kept]])


def _scorer(task: Task) -> Callable[[list[Any], list[Any]], dict[str, float]]:
    """The function that turns references and predictions into metrics by name; fails before any forward pass."""
    try:
        if task.metric == "entity_f1":
            return _entity_f1()
        if task.metric == "pearson_spearman_mean":
            return _correlations()
        return _classification(task)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "train") from error


def _entity_f1() -> Callable[[list[Any], list[Any]], dict[str, float]]:
    from seqeval.metrics import f1_score

    return lambda references, predictions: {"entity_f1": float(f1_score(references, predictions))}


def _correlations() -> Callable[[list[Any], list[Any]], dict[str, float]]:
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


def _classification(task: Task) -> Callable[[list[Any], list[Any]], dict[str, float]]:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        if task.metric == "matthews_correlation":
            return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}
        values = {"accuracy": float(accuracy_score(references, predictions))}
        if task.name in _F1_TASKS:
            values["f1"] = float(f1_score(references, predictions))
        return values

    return score
