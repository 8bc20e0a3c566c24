"""Retrieval: documents in the order of their similarity to a query, scored by the measures of trec_eval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.embedded import embeddings
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.trec import LISTED, ranking_scorer

if TYPE_CHECKING:
    from fwsvd_export.data.collection import Collection
    from fwsvd_export.data.collection_batches import CollectionBatches


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
    score = ranking_scorer()
    found = torch.cat([embeddings(forward, batch, read.embed) for batch in batches])
    placed = torch.empty_like(found)
    placed[torch.tensor(read.indices)] = found
    if read.embed.similarity == "cosine":
        placed = torch.nn.functional.normalize(placed)
    documents, queries = placed.split([len(collection.documents), len(collection.queries)])
    scores = score(collection.relevant, ranked(collection, queries @ documents.T))
    return Outcomes(list(collection.queries), [scores[query] for query in collection.queries])


def ranked(collection: Collection, similarities: Tensor) -> dict[str, dict[str, float]]:
    """Id of a query -> id of each of its nearest documents, ``LISTED`` at most -> similarity.

    Args:
        collection: what is searched.
        similarities: (queries, documents).
    """
    values, places = similarities.topk(min(LISTED, similarities.shape[1]), dim=1)
    names = list(collection.documents)
    rows = zip(collection.queries, values.tolist(), places.tolist(), strict=True)
    return {
        query: {names[place]: value for place, value in zip(places, values, strict=True)}
        for query, values, places in rows
    }
