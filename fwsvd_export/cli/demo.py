"""``demo``: the whole job on an embedded model."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fwsvd_export.benchmark.runtimes import TORCH
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import GATE_NOT_MET, PATH, device_option, json_option, overwrite_option
from fwsvd_export.storage.file_names import CARD_FILE, REPORT_FILE
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.workflows.demo import DemoResult


@click.command(cls=Command)
@device_option
@option(
    Group.OUTPUT,
    "-o",
    "--output",
    "out",
    type=PATH,
    default=Path("demo-output"),
    show_default=True,
    help="Folder for models, ONNX files, results, a page and a picture.",
)
@overwrite_option
@json_option
def command(out: Path, device: str, overwrite: bool, as_json: bool) -> None:
    """Fine-tune a small real BERT on movie reviews, compress it with svd, fwsvd and kfac, and compare.

    The dense and the kfac model are exported to ONNX, in float and int8, and timed; without the onnx extra that part
    is left out. Needs no network and a few minutes on two cores: the model and the text come from installed packages.

    \b
    Example:
      fwsvd-export demo -o demo-output
    """
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, print_table, steps
    from fwsvd_export.workflows.demo import run_demo

    prepare_libraries()
    result = run_demo(out, device=device, overwrite=overwrite, steps=steps())
    if as_json:
        print_json(result.to_json())
    else:
        print_table(_title(result), *demo_table(result))
        for line in _closing(out, result):
            hint(line)
    if result.left_out is not None:
        hint(result.left_out)
    if result.outside_atol:
        hint(f"The ONNX files of {', '.join(result.outside_atol)} differ from torch; onnx/export.json says how far.")
        click.get_current_context().exit(GATE_NOT_MET)


def demo_table(result: DemoResult) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: every model under torch, then the two that were exported under the other runtimes.

    A latency is the median in milliseconds; in brackets stands the speed-up against the dense model under the same
    runtime.
    """
    dense, models = result.rows[0], {model.model: model for model in result.bench.models}
    shapes = list(dict.fromkeys((timing.batch_size, timing.length) for timing in result.bench.models[0].latency))
    titles = ["model", "runtime", "parameters", "linear weights", "file", "accuracy"]
    titles += [f"{batch_size} x {length}, ms" for batch_size, length in shapes]
    cells = []
    for runtime in result.bench.models[0].runtimes:
        for row in result.rows:
            model = models.get(row.model)
            if model is None and runtime != TORCH:
                continue
            accuracy, size, latency = row.accuracy, row.file_bytes, [""] * len(shapes)
            if model is not None:
                found = model.runtimes[runtime]
                accuracy, size = accuracy if found.value is None else found.value, found.file_bytes
                timings = (timing for timing in model.latency if timing.runtime == runtime)
                latency = [f"{timing.median_ms:.1f} (x{timing.speedup:.1f})" for timing in timings]
            share = f"{100 * row.linear_weights / dense.linear_weights:.0f} %"
            numbers = [f"{row.parameters:,}", share, f"{size / 1e6:.1f} MB", f"{accuracy:.4f}"]
            cells.append([row.model, runtime, *numbers, *latency])
    return titles, cells


def next_commands(out: Path, *, with_onnx: bool) -> list[str]:
    """What a user types next in a shell: load the compressed model in Python, evaluate it, time it."""
    from fwsvd_export.workflows.demo import DENSE, SMALL, TEST_FILE

    dense, small = str(out / DENSE), str(out / SMALL)
    load = (
        f'from transformers import pipeline; classify = pipeline("text-classification", {json.dumps(small)}, '
        'trust_remote_code=True); print(classify("a fine film"))'
    )
    data = ["--task", "classification", "--data", str(out / TEST_FILE)]
    evaluated, timed = (["--runtime", "onnxruntime-int8"], []) if with_onnx else ([], ["--runtime", TORCH])
    ours = _program("fwsvd-export")
    return [
        shlex.join([_program("python"), "-c", load]),
        shlex.join([ours, "evaluate", small, *data, *evaluated]),
        shlex.join([ours, "bench", dense, small, *data, *timed, "-o", f"{out}-bench"]),
    ]


def _title(result: DemoResult) -> str:
    threads = counted(result.bench.environment.threads or 1, "thread")
    dtypes = dict.fromkeys(row.dtype for row in result.rows)
    return (
        f"Movie reviews, {counted(result.test_examples, 'test sentence')}, no fine-tuning after compression; torch "
        f"weights in {', '.join(dtypes)}\nLatency of batch x tokens on {threads}; in brackets the "
        "speed-up against dense under the same runtime, the median over rounds"
    )


def _closing(out: Path, result: DemoResult) -> Iterator[str]:
    """Lines below the table: where the time went, where things are, and what to do with them."""
    from fwsvd_export.workflows.demo import PICTURE, SMALL

    yield "Stages: " + ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items()) + "."
    yield f"Everything is in {out}: all results in {out / REPORT_FILE}, a picture in {out / PICTURE}."
    yield f"The card of the compressed model is {out / SMALL / CARD_FILE}."
    yield "Next, load the compressed model, evaluate it, or time it against the dense one:"
    yield from (f"  {line}" for line in next_commands(out, with_onnx=result.left_out is None))


def _program(name: str) -> str:
    """How a shell here starts a program of this environment: by its name when that finds it, or else by its place."""
    place = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(place) or not place.exists():
        return name
    return os.path.relpath(place) if place.is_relative_to(Path.cwd()) else str(place)
