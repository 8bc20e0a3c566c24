"""The names of what is measured of every text or query, and averaged."""

from __future__ import annotations

from fwsvd_export.data.tasks import Task

NEIGHBOURS = 10
AGREEMENT = ("mean_cosine", f"neighbours_at_{NEIGHBOURS}", "similarity_spearman")  # the main one first
"""Of every text, compared with the dense model: the cosine of the two embeddings, the share of the nearest other texts
that are the same ones, and Spearman's correlation of the similarities to all other texts."""
RETRIEVAL = ("ndcg_at_10", "recall_at_100", "mrr_at_10")  # likewise
"""Of every query: the normalised discounted cumulative gain of the first 10 documents (Jarvelin and Kekalainen 2002),
the share of the relevant documents among the first 100, and 1 / the place of the first relevant one among 10."""
RANKING = ("ndcg_at_10", "mrr_at_10")
"""Of every query, the same of the texts that it was paired with."""


def is_agreement(task: Task) -> bool:
    """Whether a task has texts alone, so that only agreement with another model can be measured."""
    return task.labels == "similarity" and task.label is None


def averaged(task: Task) -> tuple[str, ...]:
    """The measures of a task whose metrics are means over its texts or queries; none for other tasks."""
    if task.labels == "retrieval":
        return RETRIEVAL
    if task.labels == "rank":
        return RANKING
    return AGREEMENT if is_agreement(task) else ()
