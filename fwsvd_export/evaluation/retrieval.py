"""Retrieval: documents in the order of their similarity to a query, scored by the measures of trec_eval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.evaluation.embedded import embeddings
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.outcomes import Outcomes

if TYPE_CHECKING:
    from fwsvd_export.data.collection import Collection
    from fwsvd_export.data.collection_batches import CollectionBatches

_LISTED, _FIRST = 100, 10


def retrieval_outcomes(forward: Forward, batches: Iterable[Mapping[str, Tensor]], read: CollectionBatches) -> Outcomes:
    """For every query of a collection its id, and the numbers of ``RETRIEVAL``.

    Args:
        forward: of the model.
        batches: those of ``read``, watched perhaps.
        read: which know the collection.

    Raises:
        DataError: texts of the collection were left out.
        MissingExtraError: pytrec_eval is not installed.
    """
    collection = getattr(read, "collection", None)  # batches of a caller's own have none
    if collection is None:
        raise DataError("a collection is searched whole; leave --max-samples and --shard out")
    score = _scorer()
    found = torch.cat([embeddings(forward, batch, read.embed) for batch in batches])
    placed = torch.empty_like(found)
    placed[torch.tensor(read.indices)] = found
    if read.embed.similarity == "cosine":
        placed = torch.nn.functional.normalize(placed)
    documents, queries = placed.split([len(collection.documents), len(collection.queries)])
    return Outcomes(list(collection.queries), score(collection, ranked(collection, queries @ documents.T)))


def ranked(collection: Collection, similarities: Tensor) -> dict[str, dict[str, float]]:
    """Id of a query -> id of each of its nearest documents, ``_LISTED`` at most -> similarity.

    Args:
        collection: what is searched.
        similarities: (queries, documents).
    """
    values, places = similarities.topk(min(_LISTED, similarities.shape[1]), dim=1)
    names = list(collection.documents)
    rows = zip(collection.queries, values.tolist(), places.tolist(), strict=True)
    return {
        query: {names[place]: value for place, value in zip(places, values, strict=True)}
        for query, values, places in rows
    }


def _scorer() -> Any:
    """(collection, what is found for every query) -> a row of ``RETRIEVAL`` per query, in their order."""
    try:
        from pytrec_eval import RelevanceEvaluator
    except ModuleNotFoundError as error:
        raise MissingExtraError("pytrec_eval", "embeddings") from error

    def score(collection: Collection, found: Mapping[str, Mapping[str, float]]) -> list[tuple[float, float, float]]:
        judged = {query: dict(grades) for query, grades in collection.relevant.items()}
        evaluator = RelevanceEvaluator(judged, {f"ndcg_cut.{_FIRST}", f"recall.{_LISTED}"})
        first = {query: dict(list(hits.items())[:_FIRST]) for query, hits in found.items()}
        measures = evaluator.evaluate(found)
        reciprocal = RelevanceEvaluator(judged, {"recip_rank"}).evaluate(first)
        return [
            (
                measures[query][f"ndcg_cut_{_FIRST}"],
                measures[query][f"recall_{_LISTED}"],
                reciprocal[query]["recip_rank"],
            )
            for query in collection.queries
        ]

    return score
