"""What losing one more answer costs a metric: accuracy always 1 / examples, a correlation or an F1 often more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from fwsvd_export.data.tasks import Task
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.resampled import metrics_of

OUTSIDE = "O"  # the tag of a word in no entity


def largest_cost(task: Task, outcomes: Outcomes) -> float:
    """How much of a metric is lost at most with the answer to one more example, times the number of examples.

    Args:
        task: names the metric.
        outcomes: of all examples.

    Returns:
        1 for a share of right answers; of rankings what the best one has; 0 where predictions are numbers, which move
        all the time, so that how far they do is seen.

    Example:
        >>> from fwsvd_export.data.tasks import TASKS
        >>> rare = Outcomes([0] * 95 + [1] * 5, [0] * 95 + [1] * 5)
        >>> [round(largest_cost(TASKS[name], rare), 2) for name in ("sst2", "cola")]
        [1.0, 11.02]
    """
    if task.labels in ("number", "similarity"):
        return 0.0
    if task.labels in ("retrieval", "rank"):
        return float(max(row[0] for row in outcomes.predictions))
    lost = list(_lost(task, outcomes))
    if not lost:
        return 1.0
    examples = len(outcomes.references)
    references = outcomes.references + [outcomes.references[place] for place, _ in lost]
    metric = metrics_of(task, Outcomes(references, outcomes.predictions + [said for _, said in lost]))
    weights = np.zeros((1 + len(lost), len(references)))
    weights[:, :examples] = 1
    for row, (place, _) in enumerate(lost, 1):
        weights[row, place] = 0
        weights[row, examples + row - 1] = 1
    values = metric(weights)[str(task.metric)]
    return float(examples * (values[0] - values[1:].min()))


def _lost(task: Task, outcomes: Outcomes) -> Iterator[tuple[int, Any]]:
    """Examples whose answers can be lost, and wrong answers to them, of which one costs the metric most."""
    pairs = list(zip(outcomes.references, outcomes.predictions, strict=True))
    if task.metric == "matthews_correlation":
        right = {there: place for place, (there, said) in enumerate(pairs) if there == said}
        classes = sorted({number for pair in pairs for number in pair})
        yield from ((right[there], said) for there, said in product(right, classes) if said != there)
    elif task.labels == "multilabel":
        hits = [sum(there and said for there, said in zip(*pair, strict=True)) for pair in pairs]
        yield _most(hits), [0] * len(pairs[0][0])
    elif task.labels == "tokens":
        hits = [sum(there == said for there, said in zip(*pair, strict=True)) for pair in pairs]
        if task.metric == "entity_f1":
            hits = [sum(there == said != OUTSIDE for there, said in zip(*pair, strict=True)) for pair in pairs]
        place = _most(hits)
        yield place, [OUTSIDE if task.metric == "entity_f1" else ""] * len(pairs[place][0])


def _most(counts: list[int]) -> int:
    return max(range(len(counts)), key=counts.__getitem__)
