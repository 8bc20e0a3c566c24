"""The best evaluation is the first of the largest, the start included."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.training.history import TrainingHistory, TrainingStep


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_nothing_is_better_than_the_best_nor_as_good_before_it(values: list[float]) -> None:
    history = TrainingHistory(tuple(TrainingStep(step, value) for step, value in enumerate(values)), len(values))
    best = history.best
    assert best.value == max(values)
    assert all(value < best.value for value in values[: best.step])
    assert history.start.value == values[0]
