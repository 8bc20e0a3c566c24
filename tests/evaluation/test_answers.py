"""Answers out of windows, and SQuAD's two metrics by hand, by brute force, and as transformers once computed them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.data.spans import Answer, Question, Window, WindowBatch
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.answers import LONGEST_ANSWER, Answers, best_spans, normalised, scores_of
from fwsvd_export.evaluation.metrics import evaluate_model
from tests.evaluation.test_forward import Answering

CONTEXT = "In 1066 the Normans won."


def asked(*answers: str, may_lack_answer: bool = False, number: int = 0, context: str = CONTEXT) -> Question:
    given = tuple(Answer(answer, 0) for answer in answers)
    return Question(number, "rows.jsonl, row 1", "Who?", context, given, may_lack_answer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Normans", "normans"),
        ("the a an", ""),
        ("theatre, an", "theatre"),
        ("  two\t words\n", "two words"),
        ("U.S.A.", "usa"),
        ("Beyoncé’s", "beyoncé’s"),  # the apostrophe of print is not in ASCII's punctuation
        ("$1,000.50", "100050"),
        ("well-known", "wellknown"),
        ("A's", "as"),  # punctuation goes first, so this is no article
    ],
)
def test_texts_are_compared_as_the_published_metric_does(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("said", "answers", "may_lack", "exact", "f1"),
    [
        ("the Normans.", ["Normans"], False, 1, 1),
        ("Denver Broncos", ["The Denver Broncos", "Broncos"], False, 1, 1),
        ("Broncos won", ["Denver Broncos", "Broncos of Denver won"], False, 0, 2 / 3),  # 2·2/(2+4) beats 2·1/(2+2)
        ("in in in", ["in"], False, 0, 1 / 2),  # words count as often as both have them
        ("Saxons", ["Normans"], False, 0, 0),
        ("", ["Normans"], False, 0, 0),
        ("", ["Normans"], True, 0, 0),
        ("", [], True, 1, 1),
        ("the", [], True, 1, 1),
        ("Normans", [], True, 0, 0),
        ("A", ["A"], False, 1, 0),  # the first metric finds no common word in two texts of articles,
        ("A", ["A"], True, 1, 1),  # the second takes such an answer for none
        ("Normans", ["A", "Normans"], True, 1, 1),
    ],
)
def test_scores_by_hand(said: str, answers: list[str], may_lack: bool, exact: float, f1: float) -> None:
    assert scores_of(said, asked(*answers, may_lack_answer=may_lack)) == (exact, pytest.approx(f1))


TEXTS = st.text(st.sampled_from("aAtheThn, .!'B é\n"), max_size=12)


@given(TEXTS, st.lists(TEXTS.filter(lambda text: bool(text.strip())), max_size=3))
def test_scores_are_those_of_the_published_program_as_transformers_had_it(said: str, answers: list[str]) -> None:
    reference = pytest.importorskip("transformers.data.metrics.squad_metrics", reason="transformers 5 has it no more")
    golden = [answer for answer in answers if reference.normalize_answer(answer)] or [""]
    expected = (
        max(reference.compute_exact(answer, said) for answer in golden),
        max(reference.compute_f1(answer, said) for answer in golden),
    )
    assert scores_of(said, asked(*answers, may_lack_answer=True)) == pytest.approx(expected)


def window_of(question: Question, tokens: int, inside: range) -> Window:
    """Every token of the context is one character of it, in order."""
    places = np.full((tokens, 2), -1, dtype=np.int32)
    for character, token in enumerate(inside):
        places[token] = character, character + 1
    return Window(question, places)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_span_is_that_of_a_search_over_all(seed: int) -> None:
    tokens, generator = 3 * LONGEST_ANSWER, torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 4, tokens, generator=generator)
    insides = [range(4, tokens - 1), range(2, 20), range(7, 8), range(5, 5)]
    windows = [window_of(asked(), tokens - (place > 1), inside) for place, inside in enumerate(insides)]
    for row, (inside, found) in enumerate(zip(insides, best_spans(starts, ends, windows), strict=True)):
        spans = [
            (float(starts[row, first] + ends[row, last]), first, last)
            for first in inside
            for last in inside
            if first <= last < first + LONGEST_ANSWER
        ]
        assert found[0] == max(spans, default=(-float("inf"),))[0]
        assert not spans or found in spans


def batch_of(*windows: Window) -> WindowBatch:
    batch = WindowBatch(input_ids=torch.ones(len(windows), 6, dtype=torch.long))
    batch.windows = windows
    return batch


def logits(*rows: dict[int, float]) -> Tensor:
    found = torch.zeros(len(rows), 6)
    for row, values in zip(found, rows, strict=True):
        for place, value in values.items():
            row[place] = value
    return found


def answered(question: Question, starts: Tensor, ends: Tensor) -> str:
    """What is said to a question whose every window is a token of no answer and five characters of the context."""
    answers = Answers()
    for start, end in zip(starts, ends, strict=True):  # a batch per window: windows come in any order and batch
        answers.add(batch_of(window_of(question, 6, range(1, 6))), start[None], end[None])
    return answers.texts()[question.number]


def test_the_answer_is_the_best_of_all_windows() -> None:
    question = asked("In", context="abcde")
    assert answered(question, logits({1: 3.0}, {2: 5.0}, {4: 2.0}), logits({2: 1.0}, {3: 1.0}, {5: 1.0})) == "bc"


def test_an_end_does_not_come_before_its_start() -> None:
    assert answered(asked("In", context="abcde"), logits({4: 5.0, 1: 1.0}), logits({2: 5.0, 5: 1.0})) in ("ab", "de")


@pytest.mark.parametrize(
    ("none_scores", "may_lack", "expected"),
    [
        ((9.0, 9.0), False, "a"),  # none is not an answer where all questions have one
        ((9.0, 9.0), True, ""),
        ((9.0, 1.0), True, "a"),  # every window must rather say none
        ((2.0, 2.0), True, "a"),  # no more than the answer is not more
    ],
)
def test_none_is_said_where_every_window_says_so(
    none_scores: tuple[float, float], may_lack: bool, expected: str
) -> None:
    starts = logits(*({0: score, 1: 1.0} for score in none_scores))
    ends = logits({1: 1.0}, {1: 1.0})
    assert answered(asked("In", context="abcde", may_lack_answer=may_lack), starts, ends) == expected


def measured(questions: list[Question], starts: Tensor, ends: Tensor) -> Any:
    windows = [window_of(question, 6, range(1, 6)) for question in questions]
    model = Answering(start_logits=starts, end_logits=ends)
    return evaluate_model(model, [batch_of(*windows)], TASKS["squad"])


def test_metrics_are_means_over_questions_whatever_their_windows() -> None:
    first, second = asked("ab", number=0, context="ab cd"), asked("d", number=1, context="ab cd")
    found = measured([first, first, second], logits({1: 2.0}, {2: 1.0}, {1: 2.0}), logits({2: 2.0}, {3: 1.0}, {5: 2.0}))
    assert (found.metric, found.value, found.examples) == ("f1", pytest.approx(1 / 2), 2)
    assert found.beside == {"exact_match": 1 / 2}


def test_questions_with_and_without_an_answer_have_their_own_f1() -> None:
    questions = [
        asked("ab", number=0, context="ab cd", may_lack_answer=True),
        asked(number=1, context="ab cd", may_lack_answer=True),
        asked(number=2, context="ab cd", may_lack_answer=True),
    ]
    starts, ends = logits({0: 9.0}, {0: 9.0}, {1: 9.0}), logits({0: 9.0}, {0: 9.0}, {2: 9.0})
    found = measured(questions, starts, ends)
    assert found.value == pytest.approx(1 / 3)
    assert found.beside == {"exact_match": pytest.approx(1 / 3), "has_answer_f1": 0.0, "no_answer_f1": 1 / 2}


def test_batches_without_windows_are_refused() -> None:
    model = Answering(start_logits=torch.zeros(2, 5), end_logits=torch.zeros(2, 5))
    with pytest.raises(DataError, match=r"a batch has no windows, and answers are texts: evaluate a saved model with"):
        evaluate_model(model, [{"input_ids": torch.ones(2, 5, dtype=torch.long)}], TASKS["squad"])
