"""Documents, queries and which of them belong together.

The layout is that of BEIR (Thakur et al. 2021, arXiv 2104.08663).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.embed import DOCUMENT, QUERY
from fwsvd_export.data.files import read_file
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.table import Table
from fwsvd_export.errors import DataError, DataWarning, listed, shown
from fwsvd_export.wording import counted

KIND = "kind"  # the column of ``Collection.table`` that says what a text is
_IDS = ("_id", "id")


@dataclass(frozen=True)
class Collection:
    """Texts to search, queries, and the judgements.

    Attributes:
        documents: id -> title and text.
        queries: id -> text, of those with a judgement.
        relevant: id of a query -> id of a document -> grade, above 0 for an answer.
    """

    documents: Mapping[str, str]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]

    @cached_property
    def table(self) -> Table:
        """All texts as rows, documents first, in the order of the ids."""
        texts = [*self.documents.values(), *self.queries.values()]
        return Table({"text": texts, KIND: [DOCUMENT] * len(self.documents) + [QUERY] * len(self.queries)})


@dataclass(frozen=True)
class CollectionRows(Rows):
    """The texts of a collection as rows; some of them may have been chosen."""

    collection: Collection | None = None

    @property
    def judgements(self) -> Mapping[str, Mapping[str, int]] | None:
        """Which documents answer which queries."""
        return None if self.collection is None else self.collection.relevant

    @property
    def whole(self) -> Collection | None:
        """The collection where no text of it was left out."""
        found = self.collection
        return found if found is not None and len(found.table) == len(self) else None


def collection_rows(request: DataRequest) -> CollectionRows:
    """All texts of a request's collection; raises and warns as ``read_collection``."""
    collection = read_collection(request)
    places = range(1, len(collection.table) + 1)
    return CollectionRows(collection.table, request.name, places, "text", collection=collection)


def read_collection(request: DataRequest) -> Collection:
    """Reads the three files of a request.

    Documents and queries without a text, and judgements about what is not there, are left out and counted.

    Raises:
        DataError: a file that is missing or malformed, an id that is given twice, a grade that is not a whole number,
            or nothing that is judged.

    Warns:
        DataWarning: something was left out.
    """
    assert request.file is not None, "checked when the request was made"
    assert request.corpus is not None, "likewise"
    assert request.qrels is not None, "likewise"
    documents, queries = _texts(request.corpus, request, "document"), _texts(request.file, request, "query")
    rows = read_file(request.qrels, request.task, None)
    columns = [_column(rows, names, request.qrels) for names in (("query-id",), ("corpus-id",), ("score",))]
    relevant: dict[str, dict[str, int]] = {}
    unknown = 0
    for number, (query, document, grade) in enumerate(zip(*columns, strict=True), 1):
        if str(query) not in queries or str(document) not in documents:
            unknown += 1
            continue
        relevant.setdefault(str(query), {})[str(document)] = _grade(grade, f"{request.qrels.name}, row {number:,}")
    relevant = {query: grades for query, grades in relevant.items() if any(grade > 0 for grade in grades.values())}
    if not relevant:
        raise DataError(
            f"no row of {request.qrels.name} names a query of {request.file.name} and a document of "
            f"{request.corpus.name} that answers it ({counted(len(rows), 'row')}); give files that belong together"
        )
    if unknown:
        warnings.warn(
            f"{unknown:,} of {counted(len(rows), 'row')} of {request.qrels.name} name a query or a document that is "
            "not there, and are left out.",
            DataWarning,
            stacklevel=2,
        )
    return Collection(documents, {query: queries[query] for query in queries if query in relevant}, relevant)


def _texts(file: Path, request: DataRequest, what: str) -> dict[str, str]:
    """Id -> title and text."""
    rows = read_file(file, request.task, None)
    ids, texts = _column(rows, _IDS, file), _column(rows, ("text",), file)
    titles = rows["title"] if "title" in rows.column_names else [None] * len(rows)
    found: dict[str, str] = {}
    empty = 0
    for number, (name, title, text) in enumerate(zip(ids, titles, texts, strict=True), 1):
        parts = [part for part in (title, text) if part is not None]
        if name is None or not all(isinstance(part, str) for part in parts):
            raise DataError(f"{file.name}, row {number:,}: an id and texts are needed; correct it")
        if str(name) in found:
            raise DataError(f"{file.name}, row {number:,}: the id {shown(name)} is given twice; make ids different")
        if joined := " ".join(part.strip() for part in parts if part.strip()):
            found[str(name)] = joined
        else:
            empty += 1
    if empty:
        warnings.warn(
            f"{empty:,} of {counted(len(rows), 'row')} of {file.name} have no text, and no {what} of them is used.",
            DataWarning,
            stacklevel=3,
        )
    if not found:
        raise DataError(f"no row of {file.name} has a text; give another file")
    return found


def _column(rows: Any, names: tuple[str, ...], file: Path) -> Any:
    name = next((name for name in names if name in rows.column_names), None)
    if name is None:
        raise DataError(
            f"{file.name} has no column {names[0]}; it has {listed(rows.column_names)}: the layout of BEIR is needed "
            "(corpus and queries with _id, title and text, qrels with query-id, corpus-id and score)"
        )
    return rows[name]


def _grade(value: Any, where: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise DataError(f"{where}: score {shown(value)} is not a whole number, which a grade is; correct it") from None
