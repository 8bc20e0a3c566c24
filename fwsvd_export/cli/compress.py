"""``compress``: a checkpoint becomes a smaller one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.compression_options import (
    deployment_request,
    method_options,
    reconstruct_wish,
    refine_options,
    refine_request,
    size_options,
    size_request,
    solver_options,
)
from fwsvd_export.cli.deployment import print_trials
from fwsvd_export.cli.dry_run import check_dry_run, forecast_json, print_forecast
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    GATE_NOT_MET,
    PATH,
    Options,
    confidence_of,
    data_and_validation,
    data_options,
    dtype_option,
    json_option,
    labels_option,
    overwrite_option,
    source_of,
    source_options,
)
from fwsvd_export.cli.recipe import recipe_option, recorded_recipe
from fwsvd_export.cli.targets import Missed, change_from, not_torchs
from fwsvd_export.wording import counted, grouped, neurons_in_words

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.gate import Gate
    from fwsvd_export.checkpoints.record import CompressionRecord, RecordedRefinement
    from fwsvd_export.compression.build import Compressed
    from fwsvd_export.compression.report import EmbeddingReport
    from fwsvd_export.workflows.compress_request import CompressRequest


def compress_request(model: str, out: Path, options: Options) -> CompressRequest:
    """Everything that was asked for; the words that were typed come from click's context.

    Raises:
        click.UsageError: options that do not go together.
        FwsvdExportError: a value that is not allowed.
    """
    confidence = confidence_of(options, "--max-drop")
    size, reconstruct = size_request(options), reconstruct_wish(options)
    if options["validation"] is not None and options["max_drop"] is None:
        raise click.UsageError("--validation is for --max-drop; calibration data comes with --data")
    from fwsvd_export.workflows.compress_request import CompressRequest  # torch, which wrong usage does without

    refinement = refine_request(options)
    data, validation = data_and_validation(options)
    context = click.get_current_context()
    for name in ("labels", "temperature"):
        if context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = None  # no wish: a statistics file may have been collected with any
    return CompressRequest(
        source=source_of(model, options),
        out=out,
        size=size,
        data=data,
        validation=validation,
        confidence=confidence,
        reconstruct=reconstruct,
        refine=refinement,
        solver_options=solver_options(options),
        command=tuple(context.meta[TYPED]),
        recipe=recorded_recipe(),
        **options,
    )


@click.command(cls=Command)
@click.argument("model")
@click.argument("out", type=PATH)
@source_options
@data_options
@labels_option
@option(
    Group.DATA,
    "--fisher",
    type=PATH,
    help="Statistics file of fwsvd-export fisher; unless made with --no-samples, it needs no --data with it.",
)
@option(
    Group.DATA,
    "--validation",
    type=PATH,
    show_default="rows of --data held out",
    help="File with the data that --max-drop measures on.",
)
@size_options
@method_options
@option(
    Group.METHOD,
    "--reconstruct-samples",
    type=int,
    metavar="ROWS",
    show_default="those of the statistics",
    help="Number of rows of --data that layers are reconstructed on; the statistics take --max-samples of them. No "
    "label of the others is read.",
)
@refine_options
@dtype_option
@option(
    Group.OUTPUT,
    "--report",
    type=PATH,
    metavar="DIR",
    help="Folder for a report: a page with the predicted and the measured loss of every layer.",
)
@option(
    Group.OUTPUT,
    "--dry-run",
    is_flag=True,
    help="Prediction of what the size asked for and others cost, from the same data; no model is made or written.",
)
@overwrite_option
@json_option
@recipe_option
def command(model: str, out: Path, as_json: bool, dry_run: bool, **options: Any) -> None:
    """Write a compressed copy of MODEL into the folder OUT.

    Give exactly one of --ratio, --rank, --params and --max-drop, and task data, a statistics file (which saves
    collecting) or both; svd needs neither. What a method does not use is not read; a hint says so. kfac reconstructs
    every layer's output, on the data or else on the texts in the statistics file. An accuracy target of --max-drop
    that cannot be met ends with exit code 3; the model at ratio 1 is written.

    \b
    Example:
      fwsvd-export compress my-model my-model-small --task sst2 --data train.jsonl --max-samples 2048 --ratio 0.25
    """
    if dry_run:
        check_dry_run(options)
    deployment = deployment_request(options)
    request = compress_request(model, out, options)
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, steps
    from fwsvd_export.compression.checks import NO_SAMPLE
    from fwsvd_export.workflows.compress import run_compress

    prepare_libraries()
    for sentence in request.unused():
        hint(sentence)
    if dry_run:
        from fwsvd_export.workflows.dry_run import run_dry

        found = run_dry(request, steps())
        if as_json:
            print_json(forecast_json(model, request.method, found))
        else:
            print_forecast(model, request.method, found)
        return
    exported = None
    if deployment is None:
        compressed, record = run_compress(request, steps())
    else:
        from fwsvd_export.workflows.deployment import run_deployed

        compressed, record, exported = run_deployed(request, deployment, steps())
    gate = record.gate
    if as_json:
        print_json({"output": str(out), **record.to_json()})
    else:
        _print_summary(out, compressed, record, _reconstructed_on(request, record))
    if _lacks_texts(request, record):
        hint(f"Layers are not reconstructed: {NO_SAMPLE}.")
    if exported is not None and not exported.within_atol:
        hint(not_torchs(exported))
    if gate is not None and not gate.kept:
        nearest = gate.trials[gate.chosen or 0]
        change = change_from(gate.dense, nearest.value, nearest.low, nearest.high)
        missed = Missed(gate.metric, change, gate.max_drop, request.confidence, gate.validation_examples)
        under = "" if nearest.deployment is None else f" under {nearest.deployment.runtime}"
        hint(missed.sentence(f"even at ratio {nearest.ratio:g}{under}"))
    if (gate is not None and not gate.kept) or (exported is not None and not exported.within_atol):
        click.get_current_context().exit(GATE_NOT_MET)


def _lacks_texts(request: CompressRequest, record: CompressionRecord) -> bool:
    """Whether layers would have been reconstructed if the statistics file had texts."""
    from fwsvd_export.compression.checks import can_reconstruct
    from fwsvd_export.solvers.table import solver_named

    able = can_reconstruct(solver_named(request.method)) and request.reconstruct is None
    return able and record.reconstruction is None and request.fisher is not None


def _reconstructed_on(request: CompressRequest, record: CompressionRecord) -> str:
    """What layers were reconstructed on, or why they were not."""
    if (done := record.reconstruction) is not None:
        place = f"of {request.data.name}" if request.data is not None else "in the statistics file"
        texts = "" if done.sequences is None else f" in {counted(done.sequences, 'sequence')}"
        head = "; pooler and head fitted too" if done.head_pull is not None else ""
        return f"{counted(done.tokens, 'token')}{texts} {place}{head}"
    if _lacks_texts(request, record):
        return "nothing: no texts in the statistics file"
    return "nothing: not asked for" if request.reconstruct is False else f"nothing: {request.method} does not do it"


def _refined(done: RecordedRefinement) -> str:
    """On what, and what came of it."""
    change = f"divergence from the dense model {done.start:.4f} to {done.best:.4f}"
    place = "in the statistics file" if done.data is None else f"of {done.data}"
    return (
        f"on {counted(done.examples, 'text')} {place}, {counted(done.batches, 'step')} at "
        f"{done.learning_rate:g}: {change} on {counted(done.held_out, 'text')} held out"
    )


def _print_summary(out: Path, compressed: Compressed, record: CompressionRecord, reconstructed_on: str) -> None:
    from fwsvd_export.cli.console import hint, print_table

    counts, done = compressed.report.parameters, record.reconstruction
    kept = compressed.report.kept_dense
    ranks = sorted({layer.rank for layer in compressed.report.layers if layer.rank is not None})
    rows = [
        ["method", f"{record.method}, {record.allocate} ranks"],
        [
            "linear weights",
            f"{counts.linear_compressed:,} of {counts.linear_dense:,} "
            f"({100 * counts.linear_compressed / counts.linear_dense:.1f} %)",
        ],
        ["all parameters", f"{counts.total_compressed:,} of {counts.total_dense:,}"],
        ["ranks", f"{ranks[0]} to {ranks[-1]}" if ranks else "none"],
        ["neurons", _neurons_cell(compressed)],
        ["layers reconstructed on", reconstructed_on],
        *([] if record.refinement is None else [["refined", _refined(record.refinement)]]),
        ["word embeddings", _embedding_cell(compressed.report.embedding)],
        ["layers kept dense", f"{len(kept)} of {len(compressed.report.layers)}"],
        ["seconds", ", ".join(f"{name} {value:.1f}" for name, value in record.seconds.items())],
    ]
    if record.gate is not None:
        rows += _gate_rows(record.gate)
    print_table(f"{out}", ["what", "value"], rows)
    if record.gate is not None and record.gate.goal is not None:
        print_trials(record.gate)
    if kept:
        hint("Kept dense, as asked, or because factors would save nothing there: " + ", ".join(grouped(kept)))
    widest = max(layer.shape[1] for layer in compressed.report.layers)
    if done and done.tokens < widest:
        hint(
            f"Reconstructed on only {counted(done.tokens, 'token')}, fewer than a layer has inputs ({widest:,}): "
            "give more data, or compare with --no-reconstruct."
        )
    for sentence in compressed.report.advice:
        hint(sentence)


def _neurons_cell(compressed: Compressed) -> str:
    """What is left of the neurons."""
    widths = compressed.model.config.low_rank.get("widths", {})  # of layers before an activation
    before = [layer.shape[0] for layer in compressed.report.layers if layer.name in widths]
    return neurons_in_words(list(widths.values()), before[0]) if widths else "all"


def _embedding_cell(embedding: EmbeddingReport) -> str:
    """What became of the word embeddings."""
    words, width = embedding.shape
    if embedding.rank is None:
        return f"dense, {words:,} x {width}"
    kept = embedding.rank * (words + width)
    return f"rank {embedding.rank}, {kept:,} of {words * width:,} ({100 * kept / (words * width):.1f} %)"


def _gate_rows(gate: Gate) -> list[list[str]]:
    """What --max-drop tried."""
    rows = [["validation", f"{counted(gate.validation_examples, 'example')} of {gate.validation}"]]
    rows.append([f"dense {gate.metric}", f"{gate.dense:.4f} (may drop by {gate.max_drop:g})"])
    for trial in gate.trials if gate.goal is None else ():
        change = change_from(gate.dense, trial.value, trial.low, trial.high)
        rows.append([f"ratio {trial.ratio:.3f}", f"{trial.value:.4f} ({change}) {'met' if trial.kept else 'missed'}"])
    return rows
