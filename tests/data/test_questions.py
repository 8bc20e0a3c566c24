"""Nested and flat questions: the same rows, and what does not fit is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.data.encode import read_task_rows
from fwsvd_export.data.questions import Question, read_questions
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.data.asked import ASKED, CONTEXT, flat, nested, write_json
from tests.data.sentences import Rows

SQUAD = TASKS["squad"]


def read(file: Path) -> list[Question]:
    rows = read_task_rows(DataRequest(SQUAD, file))
    return read_questions(rows, range(len(rows)), SQUAD).found


def told(questions: list[Question]) -> list[Any]:
    """Everything but how a message names them."""
    return [(found.number, found.text, found.context, found.answers, found.may_lack_answer) for found in questions]


@pytest.mark.parametrize("form", ["one line", "indented", "articles in lines", "articles", "paragraphs in lines"])
def test_every_nested_form_gives_the_rows_of_the_flat_one(
    form: str, write_rows: Callable[[Rows], Path], tmp_path: Path
) -> None:
    whole = nested(ASKED)
    articles = whole["data"]
    if form in ("one line", "indented"):
        file = write_json(tmp_path / "squad.json", whole, indent=2 if form == "indented" else None)
    elif form == "articles":
        file = write_json(tmp_path / "squad.json", articles)
    elif form == "articles in lines":
        file = write_rows(articles)
    else:
        file = write_rows([paragraph for article in articles for paragraph in article["paragraphs"]])
    assert told(read(file)) == told(read(write_rows(ASKED)))


def test_a_question_has_its_answers_and_where_they_stand(write_rows: Callable[[Rows], Path], tmp_path: Path) -> None:
    first, second, third = read(write_rows(ASKED))
    assert [(answer.text, answer.answer_start) for answer in first.answers] == [
        ("great film", 4),
        ("The great film", 0),
    ]
    assert (first.text, first.context) == ("Which film?", CONTEXT)
    assert second.answers == ()
    assert all(question.may_lack_answer for question in (first, second, third))
    assert (first.where, third.where) == ("rows.jsonl, row 1 (id 'a')", "rows.jsonl, row 3 (id 'c')")
    assert read(write_json(tmp_path / "dev.json", nested(ASKED)))[2].where == "dev.json, question 3 (id 'c')"


def test_none_may_be_said_only_where_the_data_has_questions_without_an_answer(
    write_rows: Callable[[Rows], Path],
) -> None:
    assert not any(question.may_lack_answer for question in read(write_rows([ASKED[0], ASKED[2]])))


def test_a_list_of_answers_is_read_too(write_rows: Callable[[Rows], Path]) -> None:
    row = {"question": "Which?", "context": CONTEXT, "answers": [{"text": "film", "answer_start": 10}]}
    (question,) = read(write_rows([row]))
    assert [(answer.text, answer.answer_start) for answer in question.answers] == [("film", 10)]


def test_columns_may_have_other_names(write_rows: Callable[[Rows], Path]) -> None:
    row = {"asked": "Which?", "passage": CONTEXT, "gold": {"text": ["film"], "answer_start": [10]}}
    task = SQUAD.with_columns("asked", "passage", "gold")
    rows = read_task_rows(DataRequest(task, write_rows([row])))
    (question,) = read_questions(rows, [0], task).found
    assert (question.text, question.context, question.where) == ("Which?", CONTEXT, "rows.jsonl, row 1")


COLUMNS = '{"text": [...], "answer_start": [...]} with a number for every text is needed'


def listed(texts: list[Any], starts: list[Any]) -> dict[str, Any]:
    return {"answers": {"text": texts, "answer_start": starts}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            listed(["film"], [11]),
            "answer 'film' begins at character 11 of the context, where 'ilm ' stands (answer_start counts",
        ),
        (listed(["film"], [-1]), "begins at character -1 of the context, where nothing, of 57 characters stands (ans"),
        (listed(["film"], [99]), "begins at character 99 of the context, where nothing, of 57 characters stands (ans"),
        (listed(["film", "cast"], [10, 0]), "answer 'cast' begins at character 0 of the context, where 'The ' stands"),
        (listed(["film"], []), "column 'answers' holds {'text': ['film'], 'answer_start': []}, " + COLUMNS),
        (listed(["film"], ["10"]), "column 'answers' holds {'text': ['film'], 'answer_start': ['10']}, " + COLUMNS),
        ({"answers": "film"}, "column 'answers' holds 'film', " + COLUMNS),
        ({"answers": None}, "column 'answers' holds None, " + COLUMNS),
        (listed([" "], [3]), "an answer is ' ', a text is needed; a question without an answer has an empty list of t"),
        ({"context": "  "}, "column 'context' holds '  ', a text is needed"),
        ({"question": None}, "column 'question' holds None, a text is needed"),
        ({"is_impossible": True}, "is_impossible is true and the answer 'film' is given; take one of the two out"),
        (
            {**listed([], []), "is_impossible": False},
            "is_impossible is false and no answer is given; give one, or say that is_impossible is true",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named(
    changes: dict[str, Any], message: str, write_rows: Callable[[Rows], Path]
) -> None:
    with pytest.raises(DataError) as caught:
        read(write_rows([{**flat("Which?", CONTEXT, "film", id="q7"), **changes}]))
    assert str(caught.value).startswith("rows.jsonl, row 1 (id 'q7'): ")
    assert message in str(caught.value)


def test_a_missing_column_is_named_with_those_that_are_there(write_rows: Callable[[Rows], Path]) -> None:
    with pytest.raises(DataError, match=r"^rows.jsonl has no column 'context'; it has question, answers: name the"):
        read(write_rows([{"question": "Which?", "answers": {"text": [], "answer_start": []}}]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"answers": [{"text": 5, "answer_start": 0}]}, ".answers[0].text is 5, a text is needed"),
        ({"answers": [{"text": "film"}]}, ".answers[0] has no answer_start"),
        ({"question": None}, ".question is None, a text is needed"),
        ({"answers": None}, ".answers is None, a list is needed"),
    ],
)
def test_a_nested_field_that_does_not_fit_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    whole = nested(ASKED[:1])
    whole["data"][0]["paragraphs"][0]["qas"][0].update(changed)
    with pytest.raises(DataError) as caught:
        read(write_json(tmp_path / "dev.json", whole))
    assert f"dev.json, row 1: data[0].paragraphs[0].qas[0]{message}; the published {{" in str(caught.value)


def test_nested_data_without_questions_is_refused(tmp_path: Path) -> None:
    file = write_json(tmp_path / "dev.json", {"data": [{"paragraphs": [{"context": CONTEXT, "qas": []}]}]})
    with pytest.raises(DataError, match=r"^dev.json has no questions: at least one is needed"):
        read(file)


def test_an_answer_of_a_nested_file_that_does_not_stand_there_is_named_by_its_question(tmp_path: Path) -> None:
    whole = json.loads(json.dumps(nested(ASKED)))
    whole["data"][2]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = 1
    with pytest.raises(DataError, match=r"^dev.json, question 3 \(id 'c'\): answer 'very fine' begins at character 1 "):
        read(write_json(tmp_path / "dev.json", whole))


def test_rows_that_do_not_fit_can_be_left_out_and_are_counted(write_rows: Callable[[Rows], Path]) -> None:
    wrong = {**flat("Which?", CONTEXT, "film"), "answers": {"text": ["film"], "answer_start": [0]}}
    rows = read_task_rows(DataRequest(SQUAD, write_rows([ASKED[0], wrong, {**ASKED[2], "context": ""}])))
    read = read_questions(rows, [4, 5, 6], SQUAD, "skip")
    assert ([question.number for question in read.found], read.places) == ([4], [0])
    assert read.skipped == {"with a label that does not fit": 1, "without a text": 1}
    assert read.first_skipped.startswith("rows.jsonl, row 2: answer 'film' begins at character 0 of the context")
    with pytest.raises(DataError, match=r"^no row of rows.jsonl can be used \(1 row\), so nothing is left; the first"):
        read_questions(rows.select([1]), [0], SQUAD, "skip")
