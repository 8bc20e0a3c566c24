"""Latencies from ``bench``, or from what a checkpoint's measurements hold of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fwsvd_export.benchmark.result import display_names
from fwsvd_export.hub.card.measurements import Run, Score
from fwsvd_export.report.bench import machine_line
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts
from fwsvd_export.report.page.plot import DENSE, UNKNOWN
from fwsvd_export.report.page.timings import Speed, Timing, with_front
from fwsvd_export.wording import counted


def speed_of_bench(facts: BenchFacts, methods: Mapping[str, str]) -> Speed | None:
    """The latencies of a bench; None when nothing was timed.

    Args:
        facts: of the bench.
        methods: SHA-256 of weights -> method that made them.
    """
    models, environment = facts.result.models, facts.result.environment
    timings = [
        Timing(
            model=name,
            method=DENSE if model is models[0] else methods.get(model.sha256 or "", UNKNOWN),
            runtime=timing.runtime,
            shape=(timing.batch_size, timing.length),
            median_ms=timing.median_ms,
            p90_ms=timing.p90_ms,
            speedup=timing.speedup,
            flops_ratio=timing.flops_ratio,
            value=model.runtimes[timing.runtime].value if timing.runtime in model.runtimes else None,
            difference=model.runtimes[timing.runtime].difference if timing.runtime in model.runtimes else None,
        )
        for model, name in zip(models, display_names(models), strict=True)
        for timing in model.latency
    ]
    rounds = f"{counted(environment.rounds, 'round')} of {counted(environment.repeats, 'call')}"
    return _speed(timings, models[0].metric, f"{machine_line(environment)}; medians of {rounds}, models in turn")


def speed_of_run(facts: CheckpointFacts, run: Run, scores: Iterable[Score]) -> Speed | None:
    """The latencies of one run in ``measurements.json``; None when nothing was timed.

    Args:
        facts: of the checkpoint.
        run: of it and of its base.
        scores: of one task and data.
    """
    values = {(score.model, score.runtime): score for score in scores}
    metric = next((score.metric for score in values.values()), None)
    timings = []
    for model in run.models:
        dense = model.model == DENSE
        for timing in model.latency:
            found = values.get((model.model, timing.runtime))
            timings.append(
                Timing(
                    model=DENSE if dense else facts.label,
                    method=DENSE if dense else facts.record.method,
                    runtime=timing.runtime,
                    shape=(timing.batch_size, timing.length),
                    median_ms=timing.median_ms,
                    p90_ms=timing.p90_ms,
                    speedup=timing.speedup,
                    flops_ratio=timing.flops_ratio,
                    value=None if found is None else found.value,
                )
            )
    return _speed(timings, metric, machine_line(run.environment))


def _speed(timings: Sequence[Timing], metric: str | None, machine: str) -> Speed | None:
    if not timings:
        return None
    shapes = dict.fromkeys(timing.shape for timing in timings)
    marked = [found for shape in shapes for found in with_front([row for row in timings if row.shape == shape])]
    return Speed(tuple(marked), metric, machine)
