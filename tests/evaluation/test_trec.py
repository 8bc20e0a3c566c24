"""Rankings against measures worked out by hand."""

from __future__ import annotations

import math

import pytest

from fwsvd_export.evaluation.trec import ranking_scorer


def test_gains_fall_with_the_place_and_grow_with_the_grade() -> None:
    found = {"q": {"a": 0.1, "b": 0.3, "c": 0.2}, "r": {f"t{place}": -float(place) for place in range(120)}}
    rows = ranking_scorer()({"q": {"a": 2, "c": 1}, "r": {"t11": 1, "t119": 1}}, found)
    best = 2 / math.log2(2) + 1 / math.log2(3)
    assert rows["q"] == pytest.approx(((1 / math.log2(3) + 2 / math.log2(4)) / best, 1.0, 1 / 2))
    assert rows["r"] == (0.0, 0.5, 0.0), "the eleventh place is behind the first ten"


def test_the_order_of_the_texts_does_not_matter() -> None:
    scores = {"a": 0.1, "b": 0.3, "c": 0.2}
    found = [
        ranking_scorer()({"q": {"c": 1}}, {"q": {name: scores[name] for name in names}}) for names in ("abc", "cba")
    ]
    assert found[0] == found[1] == {"q": (pytest.approx(1 / math.log2(3)), 1.0, 0.5)}


def test_of_texts_with_one_score_the_answer_comes_last() -> None:
    texts = dict.fromkeys(("a", "b", "c"), 0.5)
    (row,) = ranking_scorer()({"q": {"b": 1}}, {"q": texts}).values()
    assert row == (pytest.approx(1 / math.log2(4)), 1.0, pytest.approx(1 / 3))
