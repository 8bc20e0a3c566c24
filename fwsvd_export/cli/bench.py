"""``bench``: accuracy, size and latency, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.options import data_options, data_request, json_option, overwrite_option


def parse_numbers(context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: whole numbers separated by commas are allowed, as 1,8", context, option
        ) from error


@click.command()
@click.argument("dense")
@click.argument("models", nargs=-1)
@click.option(
    "--runtime",
    "runtimes",
    default="torch,onnxruntime,onnxruntime-int8",
    show_default=True,
    help="What runs the models; the first gives the metric.",
)
@click.option("--batch-sizes", default="1,8", show_default=True, callback=parse_numbers, help="Examples at once.")
@click.option("--lengths", default="32,128", show_default=True, callback=parse_numbers, help="Tokens per example.")
@click.option("--threads", type=int, help="For one operator (all cores).")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of every model; times are pooled.")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="Folder for results.json and a picture.")
@data_options
@click.option("--trust-remote-code", is_flag=True, help="Run code that came with a model.")
@overwrite_option
@json_option
def command(
    dense: str,
    models: tuple[str, ...],
    runtimes: str,
    batch_sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    threads: int | None,
    rounds: int,
    out: Path | None,
    trust_remote_code: bool,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure the DENSE model and compressed MODELS under several runtimes, on the CPU.

    Models take turns in one run. Each is exported to ONNX anew, so that all get the same treatment. The speed-up is
    against DENSE under the same runtime; behind it stands what the number of operations would allow.

    \b
    Example:
      fwsvd-export bench my-model my-model-small --task sst2 --data validation.jsonl -o bench
    """
    data = data_request(options)
    import torch

    from fwsvd_export.benchmark.latency import LatencyPlan
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table, steps
    from fwsvd_export.report.bench import bench_table
    from fwsvd_export.workflows.bench import BenchRequest, run_bench
    from fwsvd_export.workflows.source import Source

    plan = LatencyPlan(batch_sizes, lengths, threads or torch.get_num_threads(), rounds)
    sources = tuple(Source(model, trust_remote_code, "cpu") for model in (dense, *models))
    request = BenchRequest(sources, tuple(runtimes.split(",")), plan, data, out, overwrite)
    prepare_libraries()
    result = run_bench(request, steps())
    if as_json:
        print_json(result)
        return
    environment = result["environment"]
    print_table(f"{environment['cpu']}, {environment['threads']} threads", *bench_table(result))
