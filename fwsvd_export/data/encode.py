"""Examples become token ids."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fwsvd_export.architectures.embed import Embed
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS, IGNORED_LABEL
from fwsvd_export.data.batches import SECOND
from fwsvd_export.data.candidates import CandidateBatches, check_answered
from fwsvd_export.data.collection import KIND, CollectionRows, collection_rows
from fwsvd_export.data.collection_batches import CollectionBatches
from fwsvd_export.data.examples import Example, read_examples
from fwsvd_export.data.fit import check_task
from fwsvd_export.data.labels import resolved
from fwsvd_export.data.line_table import AT_ONCE, LineTable
from fwsvd_export.data.questions import question_rows
from fwsvd_export.data.read_batches import ReadBatches
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows, chosen_rows, read_rows, shard_of
from fwsvd_export.data.run_file import candidate_rows
from fwsvd_export.data.stored_rows import StoredRows
from fwsvd_export.data.tokens import UnknownTokens, check_knows_places, check_numbers
from fwsvd_export.data.usable import check_any
from fwsvd_export.data.windows import encode_windows
from fwsvd_export.errors import CheckpointError, DataError, is_failure, message_of


def load_batches(request: DataRequest, tokenizer: Any, encoder: Encoder) -> ReadBatches:
    """Reads, checks and tokenises the rows that were asked for.

    Args:
        request: which rows.
        tokenizer: the model's.
        encoder: of the model; its labels are what the data's are checked against.

    Raises:
        DataError: a task that does not fit the model's head, missing or empty data, a column that is not there, or a
            row that cannot be used.
        CheckpointError: a tokenizer that fails on the data, or is another model's.

    Warns:
        DataWarning: rows were left out, texts were cut, or many tokens are unknown.
    """
    batches = encode_rows(read_task_rows(request), request, tokenizer, encoder)
    batches.reading.warn()
    return batches


def read_task_rows(request: DataRequest) -> Rows:
    """All rows of the data, one per example of the task; raises as ``load_batches``."""
    if request.task.labels == "retrieval":
        return collection_rows(request)
    if request.candidates is not None:
        return candidate_rows(request)
    rows = read_rows(request)
    return question_rows(rows, request.task) if request.task.labels == "span" else rows


def encode_rows(rows: Rows, request: DataRequest, tokenizer: Any, encoder: Encoder) -> ReadBatches:
    """Checks and tokenises what the request chooses of some rows; raises as ``load_batches``, warns of no reading."""
    task = request.task
    check_task(task, encoder)
    chosen, indices = shard_of(chosen_rows(rows, request), request.shard)
    if task.labels == "span":
        return encode_windows(chosen, indices, request, tokenizer, encoder)
    if task.labels == "tokens" and task.label is not None:
        check_knows_places(tokenizer, task.name)
    encode = _Encode(request, tokenizer, encoder)
    if isinstance(chosen.table, LineTable):
        if task.label is None:
            return _encode_on_disk(chosen, indices, encode)
        chosen = replace(chosen, table=chosen.table.read())
    part = encode(chosen)
    check_any(len(part.encoded), chosen, part.reading.first_skipped)
    encode.unknown.warn(rows.name)
    if task.label is not None:
        task = resolved(task, encoder.model.config, rows.table.features[task.label])
    if task.labels == "tokens" and task.label is not None:
        _check_labels(part.encoded, rows.name, part.reading.limit)
    places = [indices[place] for place in part.places]
    of_all = (tokenizer, request.batch_size, task)
    if task.labels == "rank" and task.label is not None:
        texts = [example.texts[0] for example in part.examples]
        named = texts if chosen.groups is None else [chosen.groups[place] for place in part.places]
        queries = dict(zip(places, named, strict=True))
        check_answered(list(queries.values()), [example.label for example in part.examples], rows.name)
        return CandidateBatches(part.encoded, *of_all, places, part.reading, queries)
    if isinstance(chosen, CollectionRows):
        return CollectionBatches(part.encoded, *of_all, places, part.reading, chosen.whole, encoder.embed)
    encoded = part.encoded
    if task.embeds_texts:
        encoded, places = _by_row(encoded, places) if task.label is not None else (encoded, _numbered(encoded, places))
    return ReadBatches(encoded, *of_all, places, part.reading, encoder.embed)


def _encode_on_disk(chosen: Rows, indices: Sequence[int], encode: _Encode) -> ReadBatches:
    """Texts without labels, part by part, so that there is never more than one part in memory."""
    request, places, readings = encode.request, array("q"), []

    def parts() -> Iterator[list[dict[str, Any]]]:
        for start in range(0, len(chosen), AT_ONCE):
            part = encode(chosen.select(range(start, min(start + AT_ONCE, len(chosen)))))
            found = [indices[start + place] for place in part.places]
            places.extend(_numbered(part.encoded, found) if request.task.embeds_texts and found else found)
            readings.append(part.reading)
            yield part.encoded

    encoded = StoredRows(parts())
    reading = sum(readings[1:], readings[0])
    check_any(len(encoded), chosen, reading.first_skipped)
    encode.unknown.warn(chosen.name)
    return ReadBatches(
        encoded, encode.tokenizer, request.batch_size, request.task, places, reading, encode.encoder.embed
    )


@dataclass(frozen=True)
class _Part:
    """What was made of some rows.

    Attributes:
        encoded: the examples, as the tokenizer gives them, with their labels; one per text where texts are embedded.
        examples: the same before they were encoded, one per row.
        places: of the rows that are used.
        reading: what became of the rows.
    """

    encoded: list[dict[str, Any]]
    examples: list[Example]
    places: list[int]
    reading: Reading


class _Encode:
    """Reads and encodes some of the rows that were chosen.

    Args:
        request: which rows.
        tokenizer: the model's.
        encoder: of the model.

    Attributes:
        unknown: tokens, counted over all rows.
    """

    def __init__(self, request: DataRequest, tokenizer: Any, encoder: Encoder) -> None:
        self.request, self.tokenizer, self.encoder = request, tokenizer, encoder
        self.unknown = UnknownTokens(tokenizer)
        self._tokenize = _Tokenize(tokenizer, request.task.labels == "tokens")
        self._limit = min(request.max_length, encoder.usable_length)

    def __call__(self, rows: Rows) -> _Part:
        """Raises as ``load_batches``, but not where no row can be used."""
        task, encoder, limit = self.request.task, self.encoder, self._limit
        read = read_examples(rows, task, encoder.model.config, self.request.on_bad_row)
        reading = Reading(rows.name, len(rows), limit, encoder.usable_length, read.skipped, read.first_skipped)
        if not read.found:
            return _Part([], [], [], reading)
        kept, examples = rows.select(read.places) if read.skipped else rows, read.found
        if task.embeds_texts:
            kept, examples = _text_by_text(kept, examples, encoder.embed)
        encoding = _encoding(self._tokenize, examples, kept, encoder, limit)
        self.unknown.count(encoding[IDS])
        encoded = [self._row(encoding, index, example) for index, example in enumerate(examples)]
        whole = _whole_lengths(self._tokenize, examples, encoding[IDS], limit)
        reading = replace(reading, cut=len(whole), longest=max(whole, default=0))
        return _Part(encoded, read.found, read.places, reading)

    def _row(self, encoding: Any, index: int, example: Example) -> dict[str, Any]:
        # A tokenizer may make more than the model takes: token types for a model that has none
        row = {name: encoding[name][index] for name in self.encoder.inputs if name in encoding}
        if example.label is not None:
            words = self._tokenize.words
            row["labels"] = _first_pieces(encoding.word_ids(index), example.label) if words else example.label
        return row


def _text_by_text(rows: Rows, examples: list[Example], embed: Embed) -> tuple[Rows, list[Example]]:
    """An example for every text of a row, with its prompt and the row's label, and the row that each is of."""
    places = [place for place, example in enumerate(examples) for _ in example.texts]
    kinds = rows.column(KIND) if isinstance(rows, CollectionRows) else [None] * len(rows)
    prompts = {kind: embed.prompt(kind) for kind in set(kinds)}
    texts = [text for example in examples for text in example.texts]
    found = [
        Example((prompts[kinds[place]] + text,), examples[place].label)
        for place, text in zip(places, texts, strict=True)
    ]
    return rows.select(places), found


def _by_row(encoded: list[dict[str, Any]], places: list[int]) -> tuple[list[dict[str, Any]], list[int]]:
    """Two texts with their label as one example each.

    Raises:
        DataError: a row has one text.
    """
    if len(encoded) != 2 * len(places):
        raise DataError(
            "how similar two texts are needs two of them; name the column of the second one with --text-pair-column"
        )
    return [{**encoded[at], SECOND: _unlabelled(encoded[at + 1])} for at in range(0, len(encoded), 2)], places


def _unlabelled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "labels"}


def _numbered(encoded: list[dict[str, Any]], places: list[int]) -> list[int]:
    """A number for every text of the rows at some places."""
    texts = len(encoded) // len(places)
    return [texts * place + number for place in places for number in range(texts)]


@dataclass(frozen=True)
class _Tokenize:
    """Calls a tokenizer on examples, whose texts are texts, pairs of them, or lists of words."""

    tokenizer: Any
    words: bool

    def __call__(self, examples: Sequence[Example], **options: Any) -> Any:
        texts = map(list, zip(*(example.texts for example in examples), strict=True))
        return self.tokenizer(*texts, is_split_into_words=self.words, **options)


def _encoding(tokenize: _Tokenize, examples: list[Example], rows: Rows, encoder: Encoder, limit: int) -> Any:
    """The tokenizer's answer, with numbers that the model knows.

    Raises:
        CheckpointError: it fails, makes nothing of a row, or makes numbers that are outside the model's tables.
    """
    options = {"truncation": True, "max_length": limit}
    try:
        encoding = tokenize(examples, **options)
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        place = _failing_place(tokenize, examples, rows, options)
        raise CheckpointError(f"the model's tokenizer fails on {place}: {message_of(error)}") from error
    check_numbers(encoding, rows, encoder)
    return encoding


def _failing_place(tokenize: _Tokenize, examples: list[Example], rows: Rows, options: dict[str, Any]) -> str:
    """The first row that a tokenizer fails on, or all of them where it fails on none alone."""
    for index, example in enumerate(examples):
        try:
            tokenize([example], **options)
        except BaseException as error:
            if not is_failure(error):
                raise
            return rows.place(index)
    return rows.name


def _whole_lengths(tokenize: _Tokenize, examples: list[Example], cut: list[list[int]], limit: int) -> list[int]:
    """Tokens of every example that is longer than the limit. Only those that fill it can be, and are counted again."""
    full = [example for example, tokens in zip(examples, cut, strict=True) if len(tokens) >= limit]
    if not full:
        return []
    again = tokenize(full, verbose=False)
    return [length for tokens in again["input_ids"] if (length := len(tokens)) > limit]


def _first_pieces(word_ids: list[int | None], numbers: list[int]) -> list[int]:
    """The first piece of each word carries its label, the other pieces none."""
    labels, previous = [], None
    for word in word_ids:
        labels.append(IGNORED_LABEL if word is None or word == previous else numbers[word])
        previous = word
    return labels


def _check_labels(encoded: list[dict[str, Any]], name: str, limit: int) -> None:
    """Refuses token labels of which none is left: a loss of nothing says nothing about a model."""
    if all(set(row["labels"]) <= {IGNORED_LABEL} for row in encoded):
        raise DataError(
            f"no word of {name} keeps a label within {limit} tokens per sentence; raise --max-length, or use the "
            "tokenizer that belongs to the model"
        )
