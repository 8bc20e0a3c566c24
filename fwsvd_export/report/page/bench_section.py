"""The section of latencies: what every model is under every runtime, and how long a call takes."""

from __future__ import annotations

from collections.abc import Sequence

from fwsvd_export.benchmark.result import BenchModel, BenchResult, display_names
from fwsvd_export.report.page.cells import (
    EMPTY,
    bytes_cell,
    interval_title,
    metric_cell,
    numbers,
    parameters_cell,
    range_cell,
    signed_cell,
    table,
    texts,
)
from fwsvd_export.report.page.facts import BenchFacts
from fwsvd_export.report.page.latency_plot import latency_figure
from fwsvd_export.report.page.latency_table import latency_table
from fwsvd_export.report.page.parts import Cell, Picture, Section, Table
from fwsvd_export.report.page.plot import DENSE, UNKNOWN
from fwsvd_export.report.page.timings import Speed
from fwsvd_export.report.page.words import titled
from fwsvd_export.wording import counted


def bench_section(
    facts: BenchFacts, speed: Speed | None, title: str = "Benchmark", pictures: Sequence[Picture] = ()
) -> Section:
    """The section of one bench folder.

    Args:
        facts: of the folder.
        speed: its latencies; None when nothing was timed.
        title: above it.
        pictures: PNGs in it.
    """
    figure = None if speed is None else latency_figure(speed)
    environment, dense = facts.result.environment, facts.result.models[0]
    paragraphs = [] if speed is None else [f"{speed.machine}.", speed.unsteady]
    if dense.metric is not None:
        examples = counted(dense.examples or 0, "example")
        paragraphs.append(f"{titled(dense.metric).capitalize()} is that of {environment.data} ({examples}).")
    return Section(
        title,
        paragraphs=(" ".join(filter(None, paragraphs)),),
        figures=() if figure is None else (figure,),
        pictures=tuple(pictures),
        tables=(_models(facts.result, speed), *([] if speed is None else [latency_table(speed)])),
    )


def _models(result: BenchResult, speed: Speed | None) -> Table:
    """A row per model and runtime: size and metric."""
    dense, known = result.models[0], {timing.model: timing.method for timing in (speed.timings if speed else ())}
    columns = texts("model", "runtime")
    columns += numbers("parameters", "file", titled(dense.metric or "metric"), "against dense", _interval_title(result))
    rows = [
        _model_row(model, name, runtime, dense, known.get(name, UNKNOWN))
        for model, name in zip(result.models, display_names(result.models), strict=True)
        for runtime in model.runtimes
    ]
    note = "" if dense.metric is None else "Against dense is against the dense model under the same runtime."
    if any(found.difference for model in result.models for found in model.runtimes.values()):
        note += " Intervals are a paired bootstrap over examples."
    return table("Models", columns, rows, note=note)


def _interval_title(result: BenchResult) -> str:
    found = (of_runtime.difference for model in result.models for of_runtime in model.runtimes.values())
    return interval_title(difference.confidence for difference in found if difference is not None)


def _model_row(model: BenchModel, name: str, runtime: str, dense: BenchModel, method: str) -> tuple[Cell, ...]:
    found, before = model.runtimes[runtime], dense.runtimes.get(runtime)
    against = None
    if model is not dense and before is not None and before.value is not None and found.value is not None:
        against = found.value - before.value
    return (
        Cell(name, series=DENSE if model is dense else method),
        Cell(runtime),
        parameters_cell(model.parameters),
        bytes_cell(found.file_bytes),
        metric_cell(found.value),
        signed_cell(against),
        range_cell(found.difference.low, found.difference.high, signs=True) if found.difference else EMPTY,
    )
