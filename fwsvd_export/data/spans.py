"""The records of question answering: questions, their answers, and windows of their contexts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

NO_ANSWER = 0  # the place of the first token, which stands for no answer


@dataclass(frozen=True)
class Answer:
    """A text and the character of the context at which it begins, counted from 0."""

    text: str
    answer_start: int


@dataclass(frozen=True)
class Question:
    """One question about one context.

    Attributes:
        number: its place among the rows that were asked for; no other question of the data has it.
        where: as a message names it.
        text: the question.
        context: what is searched for the answer.
        answers: all that count as right; none for a question without an answer, and where none are read.
        may_lack_answer: whether the data has questions without an answer, so that "none" may be said of this one.
    """

    number: int
    where: str
    text: str
    context: str
    answers: tuple[Answer, ...]
    may_lack_answer: bool


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a question's context.

    Attributes:
        question: the question.
        places: (tokens, 2) int32, the characters of the context that a token stands for, from and up to; -1 for tokens
            of the question and special ones.
    """

    question: Question
    places: NDArray[np.int32]

    def label(self) -> tuple[int, int]:
        """The first and the last token of the first right answer; ``NO_ANSWER`` where it is not whole in the window."""
        if not self.question.answers:
            return NO_ANSWER, NO_ANSWER
        answer = self.question.answers[0]
        start = answer.answer_start + len(answer.text) - len(answer.text.lstrip())
        end = start + len(answer.text.strip())
        inside = self.places[:, 0] >= 0
        context = self.places[inside]
        if not len(context) or context[0, 0] > start or context[-1, 1] < end:
            return NO_ANSWER, NO_ANSWER
        (covered,) = np.nonzero(inside & (self.places[:, 0] < end) & (self.places[:, 1] > start))
        return (int(covered[0]), int(covered[-1])) if len(covered) else (NO_ANSWER, NO_ANSWER)


class WindowBatch(dict[str, Tensor]):
    """What a model takes by keyword, with the windows that it was made from.

    Attributes:
        windows: in the order of the batch.
    """

    windows: tuple[Window, ...] = ()
