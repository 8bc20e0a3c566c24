"""Options that several commands share, and the records they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli.choices import Device, LabelMap, Names, OneOf, UserPath
from fwsvd_export.cli.groups import Group, option, together
from fwsvd_export.data.request import ON_BAD_ROW, DataRequest
from fwsvd_export.data.tasks import TASKS, Task, task_named
from fwsvd_export.evaluation.difference import CONFIDENCE
from fwsvd_export.records import LABEL_SOURCES, TEMPERATURE

if TYPE_CHECKING:
    from fwsvd_export.workflows.source import Source

GATE_NOT_MET = 3  # exit code: the output is kept, and its record says so
DTYPES = ("auto", "float32", "float16", "bfloat16")
PATH = UserPath(path_type=Path)

Options = dict[str, Any]
"""Values of a command's options by name; each function below takes out those that become its record."""


def preset_rows(tasks: Iterable[Task]) -> list[tuple[str, str]]:
    """The columns of the presets: those that read the same stand in one row."""
    names: dict[str, list[str]] = {}
    for task in tasks:
        columns = [column for column in (task.text, task.text_pair, task.label) if column is not None]
        names.setdefault(", ".join(columns), []).append(task.name)
    return [(", ".join(those), columns) for columns, those in names.items()]


device_option = option(
    Group.MODEL,
    "--device",
    type=Device(),
    default="auto",
    show_default=True,
    help="Device that runs the model; auto is a GPU where there is one.",
)
trust_option = option(Group.MODEL, "--trust-remote-code", is_flag=True, help="Run code that came with the model.")
drop_option = option(
    Group.MODEL,
    "--drop-modules",
    is_flag=True,
    help="Leave behind what sentence-transformers computes behind the model (pooling, …): the transformer alone.",
)
json_option = option(Group.OUTPUT, "--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
overwrite_option = option(Group.OUTPUT, "--overwrite", is_flag=True, help="Replace an output that exists.")
labels_option = together(
    option(
        Group.DATA,
        "--labels",
        type=OneOf(LABEL_SOURCES),
        default="data",
        show_default=True,
        help="Source of the labels for Fisher statistics: the data, or sampled from the model's own predictions.",
    ),
    option(
        Group.DATA,
        "--temperature",
        type=float,
        default=TEMPERATURE,
        show_default=True,
        help="Number that logits are divided by for Fisher statistics; above 1, texts that the model is sure of count "
        "too, and 1 is the Fisher of the papers.",
    ),
)
dtype_option = option(
    Group.OUTPUT,
    "--dtype",
    type=OneOf(DTYPES),
    default="auto",
    show_default=True,
    help="Data type of the saved weights; auto is what the model's config.json declares.",
)


def confidence_option(group: Group, what: str) -> Callable[[Any], Any]:
    """--confidence of an interval; pass its value to ``confidence_of``.

    Args:
        group: its heading.
        what: the end of "Confidence …" in help.
    """
    text = f"Confidence {what}, above 0.5 and below 1."
    return option(group, "--confidence", type=float, metavar="SHARE", show_default=f"{CONFIDENCE:g}", help=text)


def confidence_of(options: Options, needed: str) -> float:
    """The confidence that was asked for, or the usual one; taken out of ``options``.

    Args:
        options: with the value of ``needed`` among them.
        needed: the option that it belongs to: "--max-drop".

    Raises:
        click.UsageError: it was given without that option.
    """
    confidence: float | None = options.pop("confidence")
    if confidence is not None and options[needed.removeprefix("--").replace("-", "_")] is None:
        raise click.UsageError(f"--confidence is for {needed}, which is not given")
    return CONFIDENCE if confidence is None else confidence


# Adds --device and --trust-remote-code; pass their values to ``source_of``.
source_options = together(device_option, trust_option, drop_option)
# Adds the data options; pass their values to ``data_request``.
data_options = together(
    option(
        Group.DATA,
        "--task",
        type=OneOf(TASKS),
        metavar="TASK",
        explained=("Presets of --task and the columns they read", preset_rows(TASKS.values())),
        help="Preset of columns, labels and metric, one of those below; fwsvd-export tasks tells more.",
    ),
    option(
        Group.DATA,
        "--data",
        type=PATH,
        help="Local file: jsonl, json, csv, tsv, parquet or, for token labels, CoNLL, also compressed (.gz); or a "
        "folder that save_to_disk wrote.",
    ),
    option(Group.DATA, "--dataset", metavar="ID[:CONFIG]", help="Data set on the Hub, instead of a local file."),
    option(
        Group.DATA,
        "--queries",
        type=PATH,
        help="Queries of task retrieval, or of --candidates: _id and text, as BEIR has them.",
    ),
    option(Group.DATA, "--corpus", type=PATH, help="Documents that go with them: _id, title and text."),
    option(Group.DATA, "--qrels", type=PATH, help="Judgements that go with them: query-id, corpus-id and score."),
    option(
        Group.DATA,
        "--candidates",
        type=PATH,
        help="Run of a first search in TREC's form (query, Q0, document, rank, score, name), which task rerank ranks.",
    ),
    option(
        Group.DATA, "--split", show_default="train", help="Split of the data set, or of a folder that holds several."
    ),
    option(Group.DATA, "--text-column", show_default="the preset's", help="Column of the text."),
    option(Group.DATA, "--text-pair-column", show_default="the preset's", help="Column of the second text."),
    option(Group.DATA, "--label-column", show_default="the preset's", help="Column of the label."),
    option(
        Group.DATA,
        "--label-map",
        type=LabelMap(),
        metavar="LABEL=CLASS,...",
        show_default="by name, else by number",
        help="Class of the model, by name or number, for each label of the data whose name the model does not have.",
    ),
    option(
        Group.DATA,
        "--label-names",
        type=Names(),
        metavar="NAME,...",
        show_default="the model's",
        help="Names of the model's classes in the order of their numbers, for a model that has only LABEL_0, ….",
    ),
    option(
        Group.DATA,
        "--on-bad-row",
        type=OneOf(ON_BAD_ROW),
        default=ON_BAD_ROW[0],
        show_default=True,
        help="At a row without a text or without a label that fits: stop, or skip it and say how many were.",
    ),
    option(
        Group.DATA,
        "--max-samples",
        type=int,
        show_default="all",
        help="Number of rows to use at most; the seed chooses them.",
    ),
    option(
        Group.DATA,
        "--max-length",
        type=int,
        show_default="128, squad: 384",
        help="Number of tokens per example at most; longer ones are cut, contexts of squad into windows.",
    ),
    option(
        Group.DATA,
        "--doc-stride",
        type=int,
        show_default="half of --max-length, at most 128",
        help="Number of tokens that neighbouring windows of a context share, for squad.",
    ),
    option(
        Group.DATA, "--batch-size", type=int, default=16, show_default=True, help="Number of examples in one batch."
    ),
    option(
        Group.DATA,
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Random seed for the choice of rows and for sampled labels.",
    ),
)


def source_of(model: str, options: Options) -> Source:
    """The record of the model that comes in; takes its options out of ``options``."""
    from fwsvd_export.workflows.source import Source

    return Source(model, options.pop("trust_remote_code"), options.pop("device"), options.pop("drop_modules"))


def data_and_validation(options: Options) -> tuple[DataRequest | None, DataRequest | None]:
    """As ``data_request``, and the record of --validation: the same task and columns, all rows of its file."""
    file, given = options.pop("validation"), dict(options)
    data = data_request(options)
    if file is None:
        return data, None
    return data, data_request({**given, **in_place_of_data(given, file)})


def in_place_of_data(options: Mapping[str, Any], file: Path) -> Options:
    """The data options for another file of the same task and columns, of which all rows are used."""
    others = ["queries", "dataset", "split", "max_samples", "candidates"]
    if options["candidates"] is not None:  # a file of pairs has all that is needed
        others += ["corpus", "qrels"]
    return {**dict.fromkeys(others), "data": file}


def calibration_request(options: Options, wanted: str) -> DataRequest | None:
    """--calibration as a request, taken out of ``options``; the data's options stay in it.

    Args:
        options: of the command, with those of the data.
        wanted: what needs it, as it was typed; empty where nothing does.

    Raises:
        click.UsageError: one without the other, or without a task.
    """
    file = options.pop("calibration")
    if wanted and file is None:
        raise click.UsageError(
            f"{wanted} takes the ranges of activations from text of the task: give --task and --calibration FILE"
        )
    if file is None:
        return None
    if not wanted:
        raise click.UsageError("--calibration is for openvino-int8, which is not asked for; leave it out")
    return data_request({**options, **in_place_of_data(options, file)})


# Fields of a ``DataRequest`` that are options of the same name
_REQUEST = (
    "split", "max_samples", "max_length", "doc_stride", "batch_size", "seed", "on_bad_row", "corpus", "qrels",
    "candidates",
)  # fmt: skip


def data_request(options: Options) -> DataRequest | None:
    """The record of the data options, taken out of ``options``; None when neither --data nor --dataset was given.

    Raises:
        click.UsageError: data without a task.
    """
    task, file, dataset = options.pop("task"), options.pop("data"), options.pop("dataset")
    queries = options.pop("queries")
    if queries is not None and file is not None:
        raise click.UsageError("--queries is the data of tasks retrieval and rerank; leave --data out")
    file = queries if file is None else file
    columns = [options.pop(name) for name in ("text_column", "text_pair_column", "label_column")]
    labels = [options.pop(name) for name in ("label_map", "label_names")]
    rest = {name: options.pop(name) for name in _REQUEST}
    if file is None and (rest["corpus"] or rest["qrels"] or rest["candidates"]):
        raise click.UsageError("--corpus, --qrels and --candidates go with --queries, which is not given")
    if file is None and dataset is None:
        return None
    if task is None:
        raise click.UsageError(f"--task is missing: one of {', '.join(TASKS)} says which columns and metric to use")
    preset = task_named(task).with_columns(*columns).with_labels(*labels)
    if rest["max_length"] is None:
        rest["max_length"] = preset.max_length
    return DataRequest(preset, file, dataset, **rest)


def required_data(options: Options) -> DataRequest:
    """As ``data_request``, for commands that cannot do without.

    Raises:
        click.UsageError: neither --data nor --dataset.
    """
    request = data_request(options)
    if request is None:
        raise click.UsageError("no data given: name a local file with --data or a data set on the Hub with --dataset")
    return request
