"""The metrics of references and predictions, by scikit-learn, SciPy and seqeval."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, MissingExtraError, listed, shown
from fwsvd_export.evaluation.answers import answer_metrics
from fwsvd_export.evaluation.measures import averaged

Names = Mapping[int, str]
"""Of the model's classes."""
Score = Callable[[list[Any], list[Any]], dict[str, float]]
"""(references, predictions), an entry per example -> metrics by name."""

F1_TASKS = ("mrpc", "qqp")  # GLUE reports F1 beside the accuracy of these two
_ENTITY_TAG = re.compile(r"O|[BIES](-.+)?")  # IOB1, IOB2 and IOBES; a tag may stand without a type


def scorer_of(task: Task, names: Names) -> Score:
    """The function that turns references and predictions into a task's metrics.

    Args:
        task: names the metric.
        names: of the model's classes; nothing where it has none.

    Raises:
        DataError: names that are not tags of entities where the metric needs them.
        MissingExtraError: the metric's library is not installed.
    """
    try:
        if task.labels == "span":
            return answer_metrics
        if task.metric == "entity_f1":
            return _entity_f1(names)
        if measures := averaged(task):
            return _means(measures)
        if task.metric == "pearson_spearman_mean":
            return _correlations()
        if task.metric == "cosine_spearman":
            return _cosine_correlations()
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


def _cosine_correlations() -> Score:
    both = _correlations()

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        found = both(references, predictions)
        return {f"cosine_{name}": found[name] for name in ("spearman", "pearson")}

    return score


def _means(names: Sequence[str]) -> Score:
    """Of predictions that are several numbers each."""

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        return {name: fmean(row[place] for row in predictions) for place, name in enumerate(names)}

    return score


def _classification(task: Task) -> Score:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    def score(references: list[Any], predictions: list[Any]) -> dict[str, float]:
        if task.labels == "tokens":
            references, predictions = list(chain(*references)), list(chain(*predictions))
        if task.metric == "matthews_correlation":
            return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}
        values = {"accuracy": float(accuracy_score(references, predictions))}
        if task.name in F1_TASKS:
            values["f1"] = float(f1_score(references, predictions))
        return values

    return score
