"""``compress``: a checkpoint becomes a smaller one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.options import (
    GATE_NOT_MET,
    data_and_validation,
    data_options,
    dtype_option,
    json_option,
    labels_option,
    overwrite_option,
    source_of,
    source_options,
)

if TYPE_CHECKING:
    from fwsvd_export.compression.build import Compressed
    from fwsvd_export.records import EmbeddingReport

_COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def parse_count(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """A whole number that may end in K, M or B: 20M is 20,000,000."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb]?)", text.strip().lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is no number of parameters; write 20000000, 20M or 1.5M", context, option)
    return int(float(found[1]) * _COUNT_UNITS[found[2]])


def parse_options(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """name=value pairs; the method's own record checks names and values."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} has no value; write {text}=VALUE", context, option)
        pairs[name.strip().replace("-", "_")] = value.strip()
    return pairs


@click.command()
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--method", default="kfac", show_default=True, help="A solver; fwsvd-export methods lists them.")
@click.option("--ratio", type=float, help="Fraction of the encoder's linear weights to keep at most.")
@click.option("--rank", type=int, help="The same rank everywhere.")
@click.option("--params", metavar="COUNT", callback=parse_count, help="Total parameters at most, for example 20M.")
@click.option(
    "--max-drop",
    type=float,
    metavar="X",
    help="Instead of a size: the smallest model whose metric on validation data is at most X below the dense one's.",
)
@click.option("--validation", type=click.Path(path_type=Path), help="File for --max-drop (rows of --data held out).")
@click.option("--allocate", help="greedy: one budget for all layers (kfac's default); uniform: the same rank.")
@click.option(
    "--embeddings",
    type=float,
    metavar="RATIO",
    help="Factorise the word embeddings too: the fraction of their weights to keep at most (part of --params).",
)
@click.option("--cost", default="params", show_default=True, help="What greedy prices: params, flops or latency.")
@click.option("--rank-multiple", type=int, default=1, show_default=True, help="Ranks are multiples of this.")
@click.option("--min-rank", type=int, default=1, show_default=True, help="Rank of every layer at least.")
@click.option("--max-rank", type=int, help="Rank of every layer at most.")
@click.option("--keep-dense", multiple=True, metavar="PATTERN", help="Layers to leave as they are, * for anything.")
@click.option(
    "--match/--no-match",
    default=None,
    help="Fit every layer again, on its own inputs, to the dense model's output (kfac with data: done by default).",
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="DIR", help="Predicted and measured loss per layer, a page."
)
@click.option("--fisher-axis", metavar="AXIS", help="Alias of --solver-option axis=AXIS, for fwsvd: input or output.")
@click.option(
    "--solver-option",
    "solver_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=parse_options,
    help="Of the method, for example start=row or axis=output; methods --json lists them. Repeatable.",
)
@click.option("--fisher", type=click.Path(path_type=Path), help="Statistics file; --data beside it is for matching.")
@labels_option
@dtype_option
@data_options
@source_options
@overwrite_option
@json_option
def command(
    model: str,
    out: Path,
    method: str,
    ratio: float | None,
    rank: int | None,
    params: int | None,
    max_drop: float | None,
    allocate: str | None,
    embeddings: float | None,
    cost: str,
    rank_multiple: int,
    min_rank: int,
    max_rank: int | None,
    keep_dense: tuple[str, ...],
    match: bool | None,
    report: Path | None,
    fisher_axis: str | None,
    solver_options: dict[str, str],
    fisher: Path | None,
    labels: str,
    dtype: str,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a compressed copy of MODEL into the folder OUT.

    Give exactly one of --ratio, --rank, --params and --max-drop, and task data, a statistics file (which saves
    collecting) or both; svd needs neither. With data, kfac also matches every layer's output. A promise of --max-drop
    that cannot be kept ends with exit code 3; the model at ratio 1 is written.

    \b
    Example:
      fwsvd-export compress my-model my-model-small --task sst2 --data train.jsonl --max-samples 2048 --ratio 0.25
    """
    (data, validation), source = data_and_validation(options), source_of(model, options)
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, steps
    from fwsvd_export.records import Budget, RankLimits, RankRequest
    from fwsvd_export.solvers.options import with_fisher_axis
    from fwsvd_export.workflows.compress import CompressRequest, run_compress

    if (max_drop, ratio, rank, params) == (None, None, None, None):
        raise click.UsageError("no size given: give exactly one of --ratio, --rank, --params and --max-drop")
    if max_drop is not None and (ratio, rank, params) != (None, None, None):
        raise click.UsageError("give a size or --max-drop, not both: it searches for the size")
    if validation is not None and max_drop is None:
        raise click.UsageError("--validation is for --max-drop; calibration data comes with --data")
    budget = Budget(ratio=1.0) if max_drop is not None else Budget(ratio, rank, params)
    limits = RankLimits(rank_multiple, min_rank, max_rank, keep_dense)
    request = CompressRequest(
        source=source,
        out=out,
        method=method,
        size=RankRequest(budget, allocate, limits, embeddings, cost),
        data=data,
        validation=validation,
        max_drop=max_drop,
        match=match,
        report=report,
        fisher=fisher,
        labels=labels,
        solver_options=with_fisher_axis(method, solver_options, fisher_axis),
        dtype=dtype,
        overwrite=overwrite,
        command=tuple(click.get_current_context().meta[TYPED]),
    )
    prepare_libraries()
    compressed, record = run_compress(request, steps())
    gate = record.get("gate")
    if as_json:
        print_json({"output": str(out), **record})
    else:
        _print_summary(out, compressed, record)
    if gate is not None and not gate["kept"]:
        hint(f"The promise is not kept: even at ratio 1 the drop of {gate['metric']} is above {max_drop:g}.")
        click.get_current_context().exit(GATE_NOT_MET)


def _print_summary(out: Path, compressed: Compressed, record: dict[str, Any]) -> None:
    from fwsvd_export.cli.console import hint, print_table

    counts, matching = compressed.parameters, record["matching"]
    kept = [layer.name for layer in compressed.layers if layer.kept_dense]
    ranks = sorted({layer.rank for layer in compressed.layers if layer.rank is not None})
    rows = [
        ["method", f"{record['method']}, {record['allocate']} ranks"],
        [
            "linear weights",
            f"{counts.linear_compressed:,} of {counts.linear_dense:,} "
            f"({100 * counts.linear_compressed / counts.linear_dense:.1f} %)",
        ],
        ["all parameters", f"{counts.total_compressed:,} of {counts.total_dense:,}"],
        ["ranks", f"{ranks[0]} to {ranks[-1]}" if ranks else "none"],
        ["layers matched on", f"{matching['tokens']:,} tokens" if matching else "nothing: no data, or not asked for"],
        ["word embeddings", _embedding_cell(compressed.embedding)],
        ["layers kept dense", f"{len(kept)} of {len(compressed.layers)}"],
        ["seconds", ", ".join(f"{name} {value:.1f}" for name, value in record["seconds"].items())],
    ]
    if "gate" in record:
        rows += _gate_rows(record["gate"])
    print_table(f"{out}", ["what", "value"], rows)
    if kept:
        hint("Kept dense, as asked, or because factors would save nothing there: " + ", ".join(kept))
    widest = max(layer.shape[1] for layer in compressed.layers)
    if matching and matching["tokens"] < widest:
        hint(
            f"Matched on only {matching['tokens']:,} tokens, fewer than a layer has inputs ({widest:,}): "
            "give more data, or compare with --no-match."
        )
    for layer in compressed.layers:
        if not layer.settled:
            hint(f"{layer.name}: {layer.status}")


def _embedding_cell(embedding: EmbeddingReport) -> str:
    """What became of the word embeddings."""
    words, width = embedding.shape
    if embedding.rank is None:
        return f"dense, {words:,} x {width}"
    kept = embedding.rank * (words + width)
    return f"rank {embedding.rank}, {kept:,} of {words * width:,} ({100 * kept / (words * width):.1f} %)"


def _gate_rows(gate: dict[str, Any]) -> list[list[str]]:
    """What --max-drop tried."""
    rows = [["validation", f"{gate['validation_examples']:,} examples of {gate['validation']}"]]
    rows.append([f"dense {gate['metric']}", f"{gate['dense']:.4f} (may drop by {gate['max_drop']:g})"])
    for trial in gate["trials"]:
        rows.append([f"ratio {trial['ratio']:.3f}", f"{trial['value']:.4f} {'kept' if trial['kept'] else 'too low'}"])
    return rows
