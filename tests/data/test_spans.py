"""The label of a window, from the places of its tokens alone."""

from __future__ import annotations

import numpy as np
import pytest

from fwsvd_export.data.spans import NO_ANSWER, Answer, Question, Window

CONTEXT = "one two  three"
PLACES = [(-1, -1), (-1, -1), (0, 3), (4, 7), (9, 12), (12, 14), (-1, -1)]  # special, question, one, two, thr, ee


@pytest.mark.parametrize(
    ("answer", "tokens", "label"),
    [
        ("one", 7, (2, 2)),
        ("two  three", 7, (3, 5)),
        (" two ", 7, (3, 3)),  # blanks around an answer are no part of it
        ("hree", 7, (4, 5)),
        ("three", 5, (NO_ANSWER, NO_ANSWER)),  # cut off behind its first piece
        ("one two", 3, (NO_ANSWER, NO_ANSWER)),
        ("one", 2, (NO_ANSWER, NO_ANSWER)),  # no token of the context at all
        (None, 7, (NO_ANSWER, NO_ANSWER)),
    ],
)
def test_the_label_is_where_the_whole_answer_stands(answer: str | None, tokens: int, label: tuple[int, int]) -> None:
    answers = () if answer is None else (Answer(answer, CONTEXT.index(answer)), Answer("one", 0))
    question = Question(0, "rows.jsonl, row 1", "Which?", CONTEXT, answers, False)
    assert Window(question, np.array(PLACES[:tokens], dtype=np.int32)).label() == label
