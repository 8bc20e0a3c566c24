"""Question answering: logits of windows become answers, and answers exact match and F1.

An answer is the span of at most ``LONGEST_ANSWER`` tokens with the largest sum of start and end logit in any window of
its question; where the data has questions without an answer, it is none when the first token's sum is larger in every
window (Devlin et al. 2019). The metrics are those of SQuAD, as fractions: Rajpurkar et al. 2016 (arXiv 1606.05250),
with questions that have no answer Rajpurkar et al. 2018 (arXiv 1806.03822).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fwsvd_export.data.spans import NO_ANSWER, Question, Window, WindowBatch
from fwsvd_export.errors import DataError

LONGEST_ANSWER = 30  # tokens, as in transformers' run_qa
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass
class _Best:
    """The best answer so far to one question, and the smallest score of none."""

    question: Question
    text: str = ""
    score: float = -torch.inf
    none_score: float = torch.inf

    def answer(self) -> str:
        """The answer, empty for none."""
        return "" if self.question.may_lack_answer and self.none_score > self.score else self.text


class Answers:
    """The answers to all questions, from windows in any order."""

    def __init__(self) -> None:
        self._found: dict[int, _Best] = {}

    def add(self, batch: Mapping[str, Tensor], starts: Tensor, ends: Tensor) -> None:
        """Takes the predictions of one batch.

        Args:
            batch: of ``data.windows``.
            starts: (windows, tokens) float32.
            ends: as starts.

        Raises:
            DataError: a batch that does not know its windows.
        """
        if not isinstance(batch, WindowBatch):
            raise DataError(
                "a batch has no windows, and answers are texts: evaluate a saved model with fwsvd-export evaluate "
                "--task squad"
            )
        spans = best_spans(starts, ends, batch.windows)
        none_scores = (starts[:, NO_ANSWER] + ends[:, NO_ANSWER]).tolist()
        for window, (score, first, last), none_score in zip(batch.windows, spans, none_scores, strict=True):
            question = window.question
            best = self._found.setdefault(question.number, _Best(question))
            best.none_score = min(best.none_score, none_score)
            if score > best.score:
                best.score = score
                best.text = question.context[window.places[first, 0] : window.places[last, 1]]

    def texts(self) -> dict[int, str]:
        """Number of a question -> the answer, empty for none."""
        return {number: best.answer() for number, best in self._found.items()}

    def questions(self) -> list[Question]:
        """All questions, in the order of ``texts``."""
        return [best.question for best in self._found.values()]


def answer_metrics(questions: Sequence[Question], texts: Sequence[str]) -> dict[str, float]:
    """Means over all questions, from 0 to 1; where some have no answer, F1 also over these and over the others.

    Args:
        questions: with their right answers.
        texts: what was answered, empty for none.
    """
    scores = [(question, *scores_of(text, question)) for question, text in zip(questions, texts, strict=True)]
    parts = {
        "exact_match": [exact for _, exact, _ in scores],
        "f1": [f1 for _, _, f1 in scores],
    }
    if any(not question.answers for question in questions):
        parts["has_answer_f1"] = [f1 for question, _, f1 in scores if question.answers]
        parts["no_answer_f1"] = [f1 for question, _, f1 in scores if not question.answers]
    return {name: sum(values) / len(values) for name, values in parts.items() if values}


def best_spans(starts: Tensor, ends: Tensor, windows: Iterable[Window]) -> list[tuple[float, int, int]]:
    """The span of every window's context with the largest sum of logits: the sum, the first and the last token.

    The sum is minus infinity where a window has no token of the context.

    Args:
        starts: (windows, tokens).
        ends: as starts.
        windows: one per row.
    """
    outside = torch.ones(starts.shape, dtype=torch.bool)
    for row, window in zip(outside, windows, strict=True):
        row[: len(window.places)] = torch.from_numpy(window.places[:, 0] < 0)
    starts, ends = (logits.masked_fill(outside, -torch.inf) for logits in (starts, ends))
    behind = functional.pad(ends, (0, LONGEST_ANSWER - 1), value=-torch.inf).unfold(1, LONGEST_ANSWER, 1)
    sums = (starts[:, :, None] + behind).flatten(1)  # (windows, tokens × lengths)
    values, places = sums.max(dim=1)
    found = zip(values.tolist(), places.tolist(), strict=True)
    return [
        (value, place // LONGEST_ANSWER, place // LONGEST_ANSWER + place % LONGEST_ANSWER) for value, place in found
    ]


def scores_of(answer: str, question: Question) -> tuple[float, float]:
    """Exact match and F1 of an answer, each with the right answer that fits best.

    Args:
        answer: empty for none.
        question: with its right answers.

    Example:
        >>> from fwsvd_export.data.spans import Answer
        >>> question = Question(0, "", "Where?", "in the city of Rome", (Answer("the city of Rome", 3),), False)
        >>> scores_of("City of Rome.", question)
        (1.0, 1.0)
        >>> scores_of("Rome", question)
        (0.0, 0.5)
    """
    right = [normalised(answer.text) for answer in question.answers]
    if question.may_lack_answer:  # the later paper's metric knows no answer that is nothing but articles
        right = [text for text in right if text] or [""]
    said = normalised(answer)
    if question.may_lack_answer and right == [""]:
        return float(not said), float(not said)
    return max(float(said == text) for text in right), max(_token_f1(said, text) for text in right)


def normalised(text: str) -> str:
    """In lower case, without punctuation, without articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _token_f1(said: str, right: str) -> float:
    """Harmonic mean of precision and recall over the words of two normalised texts."""
    words, expected = said.split(), right.split()
    common = (Counter(words) & Counter(expected)).total()
    return 2 * common / (len(words) + len(expected)) if common else 0.0
