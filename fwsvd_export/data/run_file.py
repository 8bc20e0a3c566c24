"""What a reranker ranks: the documents that a first search found for each query, as a run of TREC's form lists them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.data.collection import Collection, read_collection
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.table import Table
from fwsvd_export.data.text import read_text
from fwsvd_export.errors import DataError, DataWarning
from fwsvd_export.wording import counted

_FIELDS = ("query", "Q0", "document", "rank", "score", "name")


def candidate_rows(request: DataRequest) -> Rows:
    """A row per query and candidate, with the judgement of the pair as its label, 0 where there is none.

    Candidates of queries or documents that are not there are left out and counted.

    Args:
        request: of task rerank, with queries, corpus, qrels and candidates.

    Raises:
        DataError: as ``read_collection``; a line of the run that is none, a pair that it has twice, or no candidate of
            any query that is judged.

    Warns:
        DataWarning: something was left out.
    """
    assert request.candidates is not None, "checked when the request was made"
    collection, task, name = read_collection(request), request.task, request.candidates.name
    numbers, pairs, seen = [], [], set[tuple[str, str]]()
    for number, (query, document) in enumerate(_pairs(request.candidates), start=1):
        if (query, document) in seen:
            raise DataError(f"{name}, row {number:,}: document {document} is given twice for query {query}; correct it")
        seen.add((query, document))
        if query in collection.queries and document in collection.documents:
            numbers.append(number)
            pairs.append((query, document))
    if not pairs:
        raise DataError(
            f"no row of {name} pairs a query that has an answer with a document of the corpus "
            f"({counted(len(seen), 'row')}); give files that belong together"
        )
    for sentence in _left_out(len(seen), pairs, collection, name):
        warnings.warn(sentence, DataWarning, stacklevel=2)
    columns: dict[str, list[Any]] = {
        task.text: [collection.queries[query] for query, _ in pairs],
        str(task.text_pair): [collection.documents[document] for _, document in pairs],
        task.label or "label": [max(0, collection.relevant[query].get(document, 0)) for query, document in pairs],
    }
    return Rows(Table(columns), request.name, numbers, groups=[query for query, _ in pairs])


def _left_out(rows: int, pairs: Sequence[tuple[str, str]], collection: Collection, name: str) -> Iterator[str]:
    """Sentences on what a run names and a collection does not have, and the other way round."""
    if unknown := rows - len(pairs):
        yield (
            f"{unknown:,} of {counted(rows, 'row')} of {name} name a query without an answer, or what is not there, "
            "and are left out."
        )
    if missing := len(collection.queries.keys() - {query for query, _ in pairs}):
        yield (
            f"{missing:,} of {len(collection.queries):,} queries with an answer have no candidate in {name}, and are "
            "not measured."
        )


def _pairs(file: Path) -> Iterator[tuple[str, str]]:
    """The ids of query and document of every line that is not blank."""
    lines = (line for line in read_text(file).split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if len(fields) != len(_FIELDS):
            raise DataError(
                f"{file.name}, row {number:,}: {counted(len(fields), 'field')}, and a run has {len(_FIELDS)} between "
                f"blanks: {', '.join(_FIELDS)}; correct it or write it in TREC's form"
            )
        yield fields[0], fields[2]
