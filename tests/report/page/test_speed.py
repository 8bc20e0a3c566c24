"""Latencies of a benchmark and of a checkpoint's measurements become one kind of rows."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts
from fwsvd_export.report.page.plot import DENSE, UNKNOWN
from fwsvd_export.report.page.speed import speed_of_bench, speed_of_run
from tests.report.page.results import SMALL, bench_result, measurements, record


def test_a_benchmark_has_a_row_per_timing_with_the_metric_under_its_runtime() -> None:
    result = bench_result()
    speed = speed_of_bench(BenchFacts("bench", result), {SMALL: "kfac"})
    assert speed is not None
    assert len(speed.timings) == sum(len(model.latency) for model in result.models)
    assert {row.model: row.method for row in speed.timings} == {"dense": DENSE, "small": "kfac", "tiny": UNKNOWN}
    assert speed.machine == "a processor, 2 threads; medians of 5 rounds of 3 calls, models in turn"
    small = next(row for row in speed.timings if row.model == "small")
    assert (small.value, small.difference) == (0.87, result.models[1].runtimes["torch"].difference)
    first = [row for row in speed.timings if row.shape == (1, 32) and row.front]
    assert [(row.model, row.runtime) for row in first] == [(name, "onnxruntime") for name in ("dense", "small", "tiny")]


def test_a_runtime_that_was_not_scored_has_no_metric() -> None:
    result = bench_result()
    models = (result.models[0], replace(result.models[1], runtimes={}))
    speed = speed_of_bench(BenchFacts("bench", replace(result, models=models)), {})
    assert speed is not None
    assert {row.value for row in speed.timings if row.model == "small"} == {None}
    untimed = tuple(replace(model, latency=()) for model in models)
    assert speed_of_bench(BenchFacts("bench", replace(result, models=untimed)), {}) is None


def test_a_run_of_a_checkpoint() -> None:
    measured = measurements()
    (run,) = measured.runs
    facts = CheckpointFacts("small", record(), SMALL, False, measured)
    speed = speed_of_run(facts, run, measured.scores)
    assert speed is not None
    assert [(row.model, row.method, row.value) for row in speed.timings] == [
        ("dense", DENSE, 0.884),
        ("small", "kfac", 0.87),
    ]
    assert speed.metric == "accuracy"
    assert speed_of_run(facts, replace(run, models=()), ()) is None
