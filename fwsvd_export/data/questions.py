"""Question answering: nested or flat data becomes questions about a context, every answer with its place there.

The nested form is that of the published SQuAD files (Rajpurkar et al. 2016, arXiv 1606.05250; with questions that have
no answer, 2018, arXiv 1806.03822), the flat one that of the same data on the Hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fwsvd_export.data.rows import Rows
from fwsvd_export.data.spans import Answer, Question
from fwsvd_export.data.table import Table
from fwsvd_export.data.tasks import Task
from fwsvd_export.data.usable import WITHOUT_TEXT, Usable, read_usable
from fwsvd_export.errors import DataError, RowError, shown
from fwsvd_export.storage.schema import Mismatch, convert, sentence

_QUESTIONS = "data", "paragraphs", "qas"  # a file of the nested form has articles, paragraphs or contexts for rows
_FORMS = (
    'the published {"data": [{"paragraphs": [{"context", "qas": [{"question", "id", "answers": [{"text", '
    '"answer_start"}]}]}]}]} is allowed, or rows with question, context and answers {"text": [...], '
    '"answer_start": [...]}'
)


@dataclass(frozen=True)
class _Listed:
    """Answers in columns, as the Hub has them."""

    text: tuple[str, ...]
    answer_start: tuple[int, ...]


@dataclass(frozen=True)
class _Flat:
    """The cell of a flat row."""

    answers: _Listed | tuple[Answer, ...]


@dataclass(frozen=True)
class _Asked:
    question: str
    answers: tuple[Answer, ...]
    id: str | None = None
    is_impossible: bool | None = None


@dataclass(frozen=True)
class _Paragraph:
    context: str
    qas: tuple[_Asked, ...]


@dataclass(frozen=True)
class _Article:
    paragraphs: tuple[_Paragraph, ...]


@dataclass(frozen=True)
class _Articles:
    data: tuple[_Article, ...]


def question_rows(rows: Rows, task: Task) -> Rows:
    """One row per question, with whether any question of the data has no answer.

    Args:
        rows: all of the data, nested or flat.
        task: says which columns hold what.

    Raises:
        DataError: nested data that is not of the published form, or has no questions.
    """
    if any(name in rows.table.column_names for name in _QUESTIONS):
        rows = _flattened(rows)
    names = rows.table.column_names
    impossible = any(rows.table["is_impossible"]) if "is_impossible" in names else False
    without = task.label in names and any(_is_empty(value) for value in rows.table[task.label])
    return replace(rows, lacks_answers=bool(impossible or without))


def read_questions(rows: Rows, numbers: Sequence[int], task: Task, on_bad_row: str = "stop") -> Usable[Question]:
    """A question per row.

    Args:
        rows: from ``question_rows``.
        numbers: of the rows.
        task: says which columns hold what.
        on_bad_row: "stop" for an error at a row that does not fit, "skip" to leave it out.

    Raises:
        DataError: a column that is not there; a cell that does not hold what is needed, an answer that does not stand
            where it says, or one where there shall be none, unless such rows are left out; or none that is left.
    """
    read = _Reader(rows, task)
    return read_usable(rows, lambda index: read(index, numbers[index]), on_bad_row).checked(rows)


class _Reader:
    """Reads the question of one row."""

    def __init__(self, rows: Rows, task: Task) -> None:
        self._rows, self._task = rows, task
        self._texts, self._contexts = rows.column(task.text), rows.column(str(task.text_pair))
        self._answers = None if task.label is None else rows.column(task.label)
        names = rows.table.column_names
        self._ids = rows.column("id") if "id" in names else None
        self._impossible = rows.column("is_impossible") if "is_impossible" in names else None

    def __call__(self, index: int, number: int) -> Question:
        """The question.

        Raises:
            RowError: the row does not fit.
        """
        task = self._task
        identity = None if self._ids is None else self._ids[index]
        where = self._rows.place(index) + (f" (id {shown(identity)})" if identity is not None else "")
        text, context = self._texts[index], self._contexts[index]
        for column, value in ((task.text, text), (task.text_pair, context)):
            if not isinstance(value, str) or not value.strip():
                raise RowError(f"{where}: column {column!r} holds {shown(value)}, a text is needed", WITHOUT_TEXT)
        answers: tuple[Answer, ...] = ()
        if self._answers is not None:
            answers = _answers(self._answers[index], str(task.label), where)
            _check_possible(answers, None if self._impossible is None else self._impossible[index], where)
        for answer in answers:
            _check_place(answer, context, where)
        return Question(number, where, text, context, answers, self._rows.lacks_answers)


def _flattened(rows: Rows) -> Rows:
    """Nested data as a table with the columns of the flat form; its questions are counted from 1."""
    asked = [(paragraph.context, question) for paragraph in _paragraphs(rows) for question in paragraph.qas]
    if not asked:
        raise DataError(f"{rows.name} has no questions: at least one is needed")
    table = Table(
        {
            "id": [question.id for _, question in asked],
            "context": [context for context, _ in asked],
            "question": [question.question for _, question in asked],
            "answers": [
                {
                    "text": [answer.text for answer in question.answers],
                    "answer_start": [answer.answer_start for answer in question.answers],
                }
                for _, question in asked
            ],
            "is_impossible": [question.is_impossible for _, question in asked],
        }
    )
    return Rows(table, rows.name, range(1, len(asked) + 1), unit="question")


def _paragraphs(rows: Rows) -> Iterator[_Paragraph]:
    """The paragraphs of all rows, which are whole files, articles or paragraphs."""
    kind = next(
        kind
        for name, kind in zip(_QUESTIONS, (_Articles, _Article, _Paragraph), strict=True)
        if name in rows.table.column_names
    )
    for index in range(len(rows)):
        try:
            read: Any = convert(kind, {name: rows.table[name][index] for name in rows.table.column_names})
        except Mismatch as mismatch:
            raise DataError(f"{sentence(mismatch, rows.place(index))}; {_FORMS}") from None
        if isinstance(read, _Paragraph):
            yield read
        else:
            for article in read.data if isinstance(read, _Articles) else [read]:
                yield from article.paragraphs


def _is_empty(answers: Any) -> bool:
    texts = answers.get("text") if isinstance(answers, dict) else answers
    return isinstance(texts, list) and not texts


def _answers(value: Any, column: str, where: str) -> tuple[Answer, ...]:
    """The answers in a cell.

    Raises:
        RowError: it holds something else.
    """
    try:
        read = convert(_Flat, {"answers": value}).answers
    except Mismatch:
        read = None
    if isinstance(read, _Listed):
        if len(read.text) == len(read.answer_start):
            return tuple(map(Answer, read.text, read.answer_start))
    elif read is not None:
        return read
    raise RowError(
        f'{where}: column {column!r} holds {shown(value)}, {{"text": [...], "answer_start": [...]}} with a number for '
        "every text is needed"
    )


def _check_possible(answers: tuple[Answer, ...], impossible: Any, where: str) -> None:
    """Refuses answers to a question that is marked as one without, and none to one that is marked as one with."""
    if impossible is True and answers:
        raise RowError(
            f"{where}: is_impossible is true and the answer {shown(answers[0].text)} is given; take one of the two out"
        )
    if impossible is False and not answers:
        raise RowError(
            f"{where}: is_impossible is false and no answer is given; give one, or say that is_impossible is true"
        )


def _check_place(answer: Answer, context: str, where: str) -> None:
    """Refuses an answer that is not what stands in the context where it says."""
    start, end = answer.answer_start, answer.answer_start + len(answer.text)
    if not answer.text.strip():
        raise RowError(
            f"{where}: an answer is {shown(answer.text)}, a text is needed; a question without an answer has an empty "
            "list of them"
        )
    if start < 0 or context[start:end] != answer.text:
        there = shown(context[start:end]) if 0 <= start < len(context) else f"nothing, of {len(context)} characters"
        raise RowError(
            f"{where}: answer {shown(answer.text)} begins at character {start} of the context, where {there} stands "
            "(answer_start counts from 0)"
        )
