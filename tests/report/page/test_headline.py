"""The sentence names the smallest model that does its job, its distance from the dense one, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.hub.card.measurements import Measurements
from fwsvd_export.report.page.chapters import chapters_of
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, Facts, SweepFacts
from fwsvd_export.report.page.headline import KEPT, compared, headlines, smallest_that_does
from tests.report.page.results import SMALL, bench_result, measurements, record, sweep_result


def said(*found: Facts) -> tuple[str, ...]:
    (chapter,) = chapters_of(found)
    return headlines(chapter)


def checkpoint(measured: Measurements) -> CheckpointFacts:
    return CheckpointFacts("small", record(), SMALL, False, measured)


def test_a_sweep_names_size_method_training_and_interval() -> None:
    assert said(SweepFacts("sweep", sweep_result())) == (
        "At 10 % of the linear weights (kfac, distilled) accuracy is .867, .017 below the dense model's .884 (95 % "
        "over 2 seeds: −.031 to −.004).",
    )


def test_a_sweep_without_training_or_intervals_does_not_mention_them() -> None:
    rows = [replace(row, difference=None) for row in sweep_result(seeds=1).rows if row.training == "none"]
    (sentence,) = said(SweepFacts("sweep", sweep_result(rows=tuple(rows))))
    assert sentence == "At 25 % of the linear weights (kfac) accuracy is .865, .019 below the dense model's .884."


def test_a_sweep_that_has_just_begun_says_nothing() -> None:
    assert said(SweepFacts("sweep", sweep_result(rows=()))) == ()


def test_a_benchmark_is_about_metric_and_speed_of_one_runtime() -> None:
    assert said(BenchFacts("bench", bench_result())) == (
        "At 13.0 million of 22.0 million parameters accuracy is .870, .014 below the dense model's .884 (95 %: −.027 "
        "to −.002), and it is 2.9 × faster than dense, both in onnxruntime (1 × 32 tokens).",
    )


def test_a_checkpoint_beside_it_tells_the_share_of_the_linear_weights() -> None:
    (sentence,) = said(BenchFacts("bench", bench_result()), checkpoint(Measurements()))
    assert sentence.startswith("At 10 % of the linear weights accuracy is .870")


def test_a_benchmark_of_speed_alone() -> None:
    result = bench_result()
    models = tuple(
        replace(
            model,
            metric=None,
            value=None,
            runtimes={name: replace(found, value=None, difference=None) for name, found in model.runtimes.items()},
        )
        for model in result.models
    )
    assert said(BenchFacts("bench", replace(result, models=models))) == (
        "At 13.0 million of 22.0 million parameters the model is 2.9 × faster than dense in onnxruntime (1 × 32 "
        "tokens).",
    )
    assert said(BenchFacts("bench", replace(result, models=models[:1]))) == ()
    untimed = tuple(replace(model, latency=()) for model in models)
    assert said(BenchFacts("bench", replace(result, models=untimed))) == ()


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        (Measurements(), "At 10 % of the linear weights (kfac) 13.0 million of 22.0 million parameters are left."),
        (
            measurements(),
            "At 10 % of the linear weights (kfac) accuracy is .870, .014 below the dense model's .884, with 13.0 "
            "million of 22.0 million parameters.",
        ),
    ],
)
def test_a_checkpoint_says_what_was_measured_of_it(measured: Measurements, sentence: str) -> None:
    assert said(checkpoint(measured)) == (sentence,)


def test_a_difference_that_is_nothing_or_a_gain() -> None:
    assert compared("accuracy", 0.884, 0.884) == "accuracy is .884, as the dense model's .884"
    assert compared("pearson_mean", 0.9, 0.884) == "pearson mean is .900, .016 above the dense model's .884"


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(-1, 1)), min_size=1, max_size=8), st.floats(0.1, 1))
def test_nothing_smaller_does_its_job_too(candidates: list[tuple[float, float]], dense: float) -> None:
    size, value = candidates[smallest_that_does(candidates, dense)]
    does = [candidate for candidate in candidates if candidate[1] >= KEPT * dense]
    if does:
        assert value >= KEPT * dense
        assert size == min(other for other, _ in does)
    else:
        assert value == max(other for _, other in candidates)
