"""``evaluate``: the task's metric of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.benchmark.runtimes import RUNTIMES, TORCH
from fwsvd_export.cli.choices import OneOf
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import PATH, data_options, json_option, required_data, source_of, source_options

if TYPE_CHECKING:
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
@json_option
def command(model: str, runtime: str, onnx_parent: Path | None, as_json: bool, **options: Any) -> None:
    """Measure the task's metric of MODEL, dense or compressed, on labelled data.

    With an ONNX runtime and a model on the Hub, onnx/ of its repository is what runs.

    \b
    Example:
      fwsvd-export evaluate my-model-small --task sst2 --data validation.jsonl --json
    """
    data, source = required_data(options), source_of(model, options)
    if onnx_parent is not None and runtime == TORCH:
        raise click.UsageError("--onnx is for --runtime onnxruntime or onnxruntime-int8")
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table, steps

    prepare_libraries()
    if runtime == TORCH:
        from fwsvd_export.workflows.evaluate import run_evaluate

        measured = run_evaluate(source, data, steps())
    else:
        from fwsvd_export.workflows.export import run_evaluate_exported

        measured = run_evaluate_exported(source, data, runtime, onnx_parent, steps())
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
        )
        print_json(evaluation.to_json())
        return
    values = {measured.metric: measured.value, **measured.beside}
    rows = [[name, f"{value:.4f}"] for name, value in values.items()]
    rows += [["examples", str(measured.examples)], ["seconds", f"{measured.seconds:.1f}"]]
    print_table(f"{model} on {data.name}", ["what", "value"], rows)


def _environment(runtime: str, device: str) -> Environment:
    import torch

    from fwsvd_export.runtime.device import device_named
    from fwsvd_export.runtime.environment import machine

    if runtime == TORCH:
        return machine(torch.get_num_threads(), device=device_named(device))
    return machine(None, ("onnxruntime",))
