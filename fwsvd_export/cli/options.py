"""Option groups that several commands share, and the records they become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fwsvd_export.data.rows import DataRequest
    from fwsvd_export.workflows.source import Source

GATE_NOT_MET = 3  # exit code: the output is kept, and its record says so

Command = TypeVar("Command", bound=Callable[..., Any])

_DATA_OPTIONS = (
    click.option("--task", help="Preset of columns, labels and metric: sst2, stsb, cola, …, text (no labels)."),
    click.option("--data", type=click.Path(path_type=Path), help="Local file: jsonl, csv, tsv or parquet."),
    click.option("--dataset", metavar="ID[:CONFIG]", help="Data set on the Hub instead of a file."),
    click.option("--split", help="Split of the data set (train)."),
    click.option("--text-column", help="Column of the text, when it is not the preset's."),
    click.option("--text-pair-column", help="Column of the second text."),
    click.option("--label-column", help="Column of the label."),
    click.option("--max-samples", type=int, help="Use that many rows, chosen by the seed (all)."),
    click.option("--max-length", type=int, default=128, show_default=True, help="Tokens at most per example."),
    click.option("--batch-size", type=int, default=16, show_default=True, help="Examples per batch."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the choice of rows and sampled labels."),
)
_SOURCE_OPTIONS = (
    click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto."),
    click.option("--trust-remote-code", is_flag=True, help="Run code that came with the model."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
labels_option = click.option(
    "--labels", default="data", show_default=True, help="data, or sampled from the model's own prediction."
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "float16", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the saved weights; auto is what the model's config.json declares.",
)


def data_options(command: Command) -> Command:
    """Adds the data options; pass their values to ``data_request``."""
    return _add(_DATA_OPTIONS, command)


def source_options(command: Command) -> Command:
    """Adds --device and --trust-remote-code; pass their values to ``source_of``."""
    return _add(_SOURCE_OPTIONS, command)


def source_of(model: str, options: dict[str, Any]) -> Source:
    """The record of the model that comes in; takes its options out of ``options``."""
    from fwsvd_export.workflows.source import Source

    return Source(model, options.pop("trust_remote_code"), options.pop("device"))


def data_and_validation(options: dict[str, Any]) -> tuple[DataRequest | None, DataRequest | None]:
    """As ``data_request``, and the record of --validation: the same task and columns, all rows of its file."""
    file, given = options.pop("validation"), dict(options)
    data = data_request(options)
    if file is None:
        return data, None
    return data, data_request({**given, "data": file, "dataset": None, "split": None, "max_samples": None})


def data_request(options: dict[str, Any]) -> DataRequest | None:
    """The record of the data options, taken out of ``options``; None when neither --data nor --dataset was given.

    Raises:
        click.UsageError: data without a task.
    """
    from fwsvd_export.data.rows import DataRequest
    from fwsvd_export.data.tasks import TASKS, task_named

    task, file, dataset = options.pop("task"), options.pop("data"), options.pop("dataset")
    columns = [options.pop(name) for name in ("text_column", "text_pair_column", "label_column")]
    rest = {name: options.pop(name) for name in ("split", "max_samples", "max_length", "batch_size", "seed")}
    if file is None and dataset is None:
        return None
    if task is None:
        raise click.UsageError(f"--task is missing: one of {', '.join(TASKS)} says which columns and metric to use")
    return DataRequest(task_named(task).with_columns(*columns), file, dataset, **rest)


def required_data(options: dict[str, Any]) -> DataRequest:
    """As ``data_request``, for commands that cannot do without.

    Raises:
        click.UsageError: neither --data nor --dataset.
    """
    request = data_request(options)
    if request is None:
        raise click.UsageError("no data given: name a local file with --data or a data set on the Hub with --dataset")
    return request


def _add(options: tuple[Any, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
