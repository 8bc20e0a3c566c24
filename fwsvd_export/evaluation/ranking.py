"""Reranking: the texts that a query was paired with, in the order of the model's scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.trec import ranking_scorer

if TYPE_CHECKING:
    from fwsvd_export.data.candidates import CandidateBatches


def ranking_outcomes(forward: Forward, batches: Iterable[Mapping[str, Tensor]], read: CandidateBatches) -> Outcomes:
    """For every query that has an answer the query, and the numbers of ``RANKING``.

    Args:
        forward: of a model with one output.
        batches: those of ``read``, watched perhaps.
        read: which know what query a pair is of.

    Raises:
        DataError: pairs of a caller's own, whose queries are not known.
        MissingExtraError: pytrec_eval is not installed.
    """
    queries = getattr(read, "queries", None)
    if queries is None:
        raise DataError(
            "texts are ranked query by query, and these batches do not say what query a pair is of; give those of "
            "data.encode.load_batches, or a file to fwsvd-export evaluate"
        )
    score = ranking_scorer()
    grades: dict[str, dict[str, int]] = {}
    scores: dict[str, dict[str, float]] = {}
    places = iter(read.indices)
    for batch in batches:
        (logits,) = forward(batch)
        for grade, value in zip(batch["labels"].tolist(), logits[:, 0].tolist(), strict=True):
            place = next(places)
            grades.setdefault(queries[place], {})[str(place)] = grade
            scores.setdefault(queries[place], {})[str(place)] = value
    answered = sorted(query for query, given in grades.items() if max(given.values()) > 0)
    if not answered:
        raise DataError("no query has a text with a label above 0 here, so that nothing is ranked; give other data")
    rows = score({query: grades[query] for query in answered}, {query: scores[query] for query in answered})
    return Outcomes(answered, [(gain, reciprocal) for gain, _, reciprocal in (rows[query] for query in answered)])
