"""The Pareto front holds what nothing else beats, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.report.page.timings import Speed, Timing, with_front

MEASURED = st.lists(st.tuples(st.integers(1, 6), st.one_of(st.none(), st.integers(1, 6))), max_size=9)


def timing(median_ms: float, value: float | None, shape: tuple[int, int] = (1, 8)) -> Timing:
    return Timing("model", "kfac", "torch", shape, median_ms, median_ms, None, None, value)


@given(MEASURED)
def test_the_front_is_what_nothing_beats(measured: list[tuple[int, int | None]]) -> None:
    found = with_front([timing(ms, value) for ms, value in measured])
    assert [(row.median_ms, row.value) for row in found] == measured
    for row in found:
        better = [
            other
            for other in found
            if other.value is not None
            and row.value is not None
            and (other.median_ms <= row.median_ms and other.value >= row.value)
            and (other.median_ms < row.median_ms or other.value > row.value)
        ]
        assert row.front == (row.value is not None and not better)


def test_a_machine_that_was_not_quiet_is_told() -> None:
    quiet, busy = timing(1.0, 1.0), replace(timing(1.0, 1.0), p90_ms=2.1)
    assert Speed((quiet,), "accuracy", "").unsteady == ""
    assert Speed((quiet, busy), "accuracy", "").unsteady.startswith("The machine was not quiet")


def test_the_sentence_is_about_the_longest_single_request() -> None:
    shapes = [(8, 512), (1, 32), (1, 128)]
    speed = Speed(tuple(timing(1.0, 1.0, shape) for shape in shapes), "accuracy", "")
    assert (speed.shapes, speed.shape) == (shapes, (1, 128))
