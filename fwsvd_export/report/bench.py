"""The folder of a benchmark: ``results.json``, a page and a picture."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.benchmark.result import BenchResult, BenchThroughput, BenchTiming, display_names
from fwsvd_export.report.figures import draw_latencies
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.wording import counted

PICTURE = "latency.png"


def write_bench(folder: Path, result: BenchResult, overwrite: bool = False) -> None:
    """Writes the folder atomically.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the folder exists, or the disk is full.
    """
    with atomic_output(folder, overwrite) as place:
        place.mkdir()
        write_json(place / "results.json", result.to_json())
        draw_latencies(result.models, place / PICTURE)
        (place / "report.md").write_text(_page(result), encoding="utf-8")


def bench_table(result: BenchResult) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: a line per runtime and model, a column per shape.

    A cell is the median in milliseconds and, in brackets, the speed-up against the first model under the same runtime
    and what the number of operations would allow; sequences per second have the gain against the first model. Where
    metrics were measured, those of the other models have their difference from the first one's.
    """
    models = result.models
    compared = _confidence(result)
    shapes = list(dict.fromkeys((row.batch_size, row.length) for row in models[0].latency))
    runtimes = list(dict.fromkeys(row.runtime for row in models[0].latency))
    titles = ["runtime", "model", "parameters", "file", models[0].metric or "metric"]
    titles += [] if compared is None else [f"difference, {100 * compared:g} %"]
    titles += [f"{batch_size} x {length}, ms" for batch_size, length in shapes]
    measured = any(found.throughput is not None for model in models for found in model.runtimes.values())
    titles += ["sequences/s"] if measured else []
    rows = []
    for runtime in runtimes:
        for model, name in zip(models, display_names(models), strict=True):
            of_runtime = model.runtimes[runtime]
            value = "" if of_runtime.value is None else f"{of_runtime.value:.4f}"
            size = f"{of_runtime.file_bytes / 1e6:.1f} MB"
            difference = of_runtime.difference
            cells = [] if compared is None else ["" if difference is None else str(difference)]
            cells += [_cell(row) for row in model.latency if row.runtime == runtime]
            cells += [_throughput_cell(of_runtime.throughput)] if measured else []
            rows.append([runtime, name, f"{model.parameters:,}", size, value, *cells])
    return titles, rows


def machine_line(environment: Environment) -> str:
    """The processor, and how many threads ran where that is known."""
    threads = environment.threads
    return environment.cpu if threads is None else f"{environment.cpu}, {counted(threads, 'thread')}"


def _confidence(result: BenchResult) -> float | None:
    """Of the intervals of the differences; None where there are none."""
    found = (of_runtime.difference for model in result.models for of_runtime in model.runtimes.values())
    return next((difference.confidence for difference in found if difference is not None), None)


def _cell(row: BenchTiming) -> str:
    return f"{row.median_ms:.1f} (x{row.speedup:.1f}/{row.flops_ratio:.1f})"


def _about_throughput(result: BenchResult) -> list[str]:
    found = next(
        (each.throughput for model in result.models for each in model.runtimes.values() if each.throughput), None
    )
    if found is None:
        return []
    return [
        f"Sequences per second are of {counted(found.sequences, 'tokenised text')} of the data in batches of",
        f"{found.batch_size:,}, the longest together; in brackets the gain over the first model under that runtime.",
    ]


def _throughput_cell(found: BenchThroughput | None) -> str:
    return "" if found is None else f"{found.median:.0f} (x{found.gain:.2f})"


def _about_differences(result: BenchResult) -> list[str]:
    if _confidence(result) is None:
        return []
    examples = counted(result.models[0].examples or 0, "example")
    return [
        f"The difference is from the first model under the same runtime, over the same {examples}, with a paired",
        "bootstrap interval: where it holds 0, these examples do not tell the two models apart.",
    ]


def _page(result: BenchResult) -> str:
    environment, (titles, rows) = result.environment, bench_table(result)
    lines = [
        "# Dense and compressed, side by side",
        "",
        f"{machine_line(environment)}; medians of {counted(environment.rounds, 'interleaved round')} of",
        f"{counted(environment.repeats, 'call')}. In brackets the speed-up against the first model under the same",
        "runtime (the median of the rounds' own ratios), and what the number of operations would allow.",
        *_about_throughput(result),
        *_about_differences(result),
        "",
        f"![Latency]({PICTURE})",
        "",
        "| " + " | ".join(titles) + " |",
        "|---" * len(titles) + "|",
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])
