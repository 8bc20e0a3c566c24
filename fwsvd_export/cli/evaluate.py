"""``evaluate``: the task's metric of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.benchmark.runtimes import RUNTIMES, TORCH, libraries_of
from fwsvd_export.cli.choices import OneOf
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    PATH,
    confidence_of,
    confidence_option,
    data_options,
    json_option,
    required_data,
    source_of,
    source_options,
)
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.evaluation.difference import Difference
    from fwsvd_export.runtime.environment import Environment


@click.command(cls=Command)
@click.argument("model")
@source_options
@data_options
@option(
    Group.MEASUREMENT,
    "--runtime",
    type=OneOf(RUNTIMES),
    default=TORCH,
    show_default=True,
    help="Runtime that runs the model; the ONNX ones run what fwsvd-export onnx wrote.",
)
@option(
    Group.MEASUREMENT,
    "--onnx",
    "onnx_parent",
    type=PATH,
    show_default="MODEL itself",
    help="Folder that fwsvd-export onnx -o wrote to.",
)
@option(
    Group.MEASUREMENT,
    "--against",
    metavar="DENSE",
    help="Model to compare with on the same examples; it runs under torch, whatever --runtime runs MODEL.",
)
@confidence_option(Group.MEASUREMENT, "of the interval of the difference, with --against")
@json_option
def command(model: str, runtime: str, onnx_parent: Path | None, as_json: bool, **options: Any) -> None:
    """Measure the task's metric of MODEL, dense or compressed, on labelled data.

    With --against, the difference from that model has an interval: a paired bootstrap over the examples. With an ONNX
    runtime and a model on the Hub, onnx/ of its repository is what runs.

    \b
    Example:
      fwsvd-export evaluate my-model-small --task sst2 --data validation.jsonl --json
      fwsvd-export evaluate my-model-small --against my-model --task sst2 --data validation.jsonl
    """
    confidence = confidence_of(options, "--against")
    data, dense = required_data(options), options.pop("against")
    source = source_of(model, options)
    if onnx_parent is not None and runtime == TORCH:
        raise click.UsageError("--onnx is for --runtime onnxruntime and others that run it, and torch does not")
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_lines, print_table, steps
    from fwsvd_export.workflows.evaluate import Against, run_evaluate, run_evaluate_exported

    against = None if dense is None else Against(replace(source, model=dense), confidence)
    prepare_libraries()
    if runtime == TORCH:
        found = run_evaluate(source, data, steps(), against=against)
    else:
        found = run_evaluate_exported(source, data, runtime, onnx_parent, steps(), against=against)
    measured = found.measurement
    if as_json:
        from fwsvd_export.evaluation.result import Evaluation

        evaluation = Evaluation(
            model=model,
            task=data.task.name,
            metric=measured.metric,
            value=measured.value,
            examples=measured.examples,
            runtime=runtime,
            seconds=round(measured.seconds, 3),
            beside=measured.beside,
            data=data.name,
            sha256=measured.sha256,
            environment=_environment(runtime, source.device),
            cut=measured.cut,
            skipped=measured.skipped,
            difference=found.difference,
        )
        print_json(evaluation.to_json())
        return
    values = {measured.metric: measured.value, **measured.beside}
    rows = [[name, f"{value:.4f}"] for name, value in values.items()]
    rows += [["examples", str(measured.examples)], ["seconds", f"{measured.seconds:.1f}"]]
    print_table(f"{model} on {data.name}", ["what", "value"], rows)
    if found.difference is not None:
        print_lines(_against_lines(measured.metric, found.difference))


def _against_lines(metric: str, difference: Difference) -> list[str]:
    """How far every metric is from the other model's."""
    share = f"{100 * difference.confidence:g} %, paired over {counted(difference.examples, 'example')}"
    intervals = {metric: difference.interval, **difference.beside}
    names = {name: f" {name}" if len(intervals) > 1 else "" for name in intervals}
    lines = [f"against {difference.against}:{names[name]} {found} ({share})" for name, found in intervals.items()]
    return [*lines, f"{difference.changed:,} of {difference.examples:,} predictions differ"]


def _environment(runtime: str, device: str) -> Environment:
    import torch

    from fwsvd_export.runtime.device import device_named
    from fwsvd_export.runtime.environment import machine

    if runtime == TORCH:
        return machine(torch.get_num_threads(), device=device_named(device))
    return machine(None, libraries_of((runtime,)))
