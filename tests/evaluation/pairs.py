"""What should have been said of an example, and what was: generated for every kind of task."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fwsvd_export.data.spans import Answer, Question

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER"]
TEXTS = ["", "the", "Rome", "in Rome", "the city of Rome", "never"]

Pair = tuple[Any, Any]
"""What should have been said of one example, and what was."""


def question_of(texts: list[str], may_lack_answer: bool) -> Question:
    return Question(0, "", "Where?", "", tuple(Answer(text, 0) for text in texts), may_lack_answer)


classes = st.tuples(st.integers(0, 1), st.integers(0, 1))
many_classes = st.tuples(st.integers(0, 3), st.integers(0, 3))
numbers = st.tuples(
    st.integers(0, 5).map(float), st.one_of(st.integers(0, 3).map(float), st.floats(-8, 8, allow_subnormal=False))
)
sets = st.tuples(*[st.lists(st.integers(0, 1), min_size=3, max_size=3)] * 2)
words = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=6).map(
    lambda pairs: tuple(map(list, zip(*pairs, strict=True)))
)
answered = st.tuples(
    st.builds(question_of, st.lists(st.sampled_from(TEXTS[1:]), min_size=1, max_size=2), st.just(False)),
    st.sampled_from(TEXTS),
)
perhaps_answered = st.tuples(
    st.builds(question_of, st.lists(st.sampled_from(TEXTS[1:]), max_size=2), st.just(True)), st.sampled_from(TEXTS)
)

PAIRS: dict[str, st.SearchStrategy[Pair]] = {
    "sst2": classes,
    "mrpc": classes,
    "qqp": classes,
    "mnli": many_classes,
    "cola": many_classes,
    "ner": words,
    "pos": words,
    "multilabel": sets,
    "stsb": numbers,
}
