"""``bench``: accuracy, size and latency, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.benchmark.runtimes import CALIBRATED, RUNTIMES, USUAL_RUNTIMES
from fwsvd_export.cli import TYPED
from fwsvd_export.cli.choices import Numbers, SomeOf
from fwsvd_export.cli.groups import Command, Group, option, together
from fwsvd_export.cli.options import (
    PATH,
    Options,
    calibration_request,
    data_options,
    data_request,
    drop_option,
    json_option,
    overwrite_option,
    trust_option,
)
from fwsvd_export.cli.recipe import recipe_option

if TYPE_CHECKING:
    from fwsvd_export.benchmark.latency import LatencyPlan


# Adds what is measured; pass the values to ``latency_plan``.
measurement_options = together(
    option(
        Group.MEASUREMENT,
        "--runtime",
        "runtimes",
        type=SomeOf(RUNTIMES),
        default=",".join(USUAL_RUNTIMES),
        show_default=True,
        metavar="RUNTIME,...",
        help=f"Runtimes that run the models, any of {', '.join(RUNTIMES)}; the first gives the metric.",
    ),
    option(
        Group.MEASUREMENT,
        "--batch-sizes",
        type=Numbers(),
        metavar="N,...",
        default="1,8",
        show_default=True,
        help="Numbers of examples in one batch.",
    ),
    option(
        Group.MEASUREMENT,
        "--lengths",
        type=Numbers(),
        metavar="N,...",
        default="32,128",
        show_default=True,
        help="Numbers of tokens per example.",
    ),
    option(
        Group.MEASUREMENT, "--threads", type=int, show_default="all cores", help="Number of threads for one operator."
    ),
    option(
        Group.MEASUREMENT,
        "--rounds",
        type=int,
        default=5,
        show_default=True,
        help="Number of turns of every model; the times of all turns are pooled.",
    ),
)


def latency_plan(options: Options) -> LatencyPlan:
    """The record of the measurement, its options taken out of ``options``."""
    import torch

    from fwsvd_export.benchmark.latency import LatencyPlan

    batch_sizes, lengths, threads = (options.pop(name) for name in ("batch_sizes", "lengths", "threads"))
    return LatencyPlan(batch_sizes, lengths, threads or torch.get_num_threads(), options.pop("rounds"))


@click.command(cls=Command)
@click.argument("dense")
@click.argument("models", nargs=-1)
@trust_option
@drop_option
@data_options
@measurement_options
@option(
    Group.MEASUREMENT,
    "--throughput",
    type=int,
    metavar="TEXTS",
    help="Measure sequences per second too, on so many texts of the data in batches of --batch-size, the longest "
    "together.",
)
@option(
    Group.MEASUREMENT,
    "--calibration",
    type=PATH,
    help="File with text of the task that openvino-int8 takes the ranges of activations from; no label is read.",
)
@option(Group.OUTPUT, "-o", "--output", "out", type=PATH, help="Folder for results.json and a picture.")
@overwrite_option
@json_option
@recipe_option
def command(dense: str, models: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Measure the DENSE model and compressed MODELS under several runtimes, on the CPU.

    Models take turns in one run. Each is exported to ONNX anew, so that all get the same treatment. The speed-up is
    against DENSE under the same runtime; behind it stands what the number of operations would allow.

    \b
    Example:
      fwsvd-export bench my-model my-model-small --task sst2 --data validation.jsonl -o bench
    """
    calibration = calibration_request(options, "--runtime openvino-int8" * (CALIBRATED in options["runtimes"]))
    data = data_request(options)
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table, steps
    from fwsvd_export.report.bench import bench_table, machine_line
    from fwsvd_export.workflows.bench import BenchRequest, run_bench
    from fwsvd_export.workflows.source import Source

    trusted, drops = options.pop("trust_remote_code"), options.pop("drop_modules")
    sources = tuple(Source(model, trusted, "cpu", drops) for model in (dense, *models))
    typed = tuple(click.get_current_context().meta[TYPED])
    request = BenchRequest(
        sources, plan=latency_plan(options), data=data, command=typed, calibration=calibration, **options
    )
    prepare_libraries()
    result = run_bench(request, steps())
    if as_json:
        print_json(result.to_json())
        return
    print_table(machine_line(result.environment), *bench_table(result))
