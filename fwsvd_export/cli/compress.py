"""``compress``: a checkpoint becomes a smaller one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.options import (
    data_options,
    data_request,
    dtype_option,
    json_option,
    labels_option,
    overwrite_option,
    source_of,
    source_options,
)

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
@click.option("--allocate", default="uniform", show_default=True, help="How the budget becomes ranks.")
@click.option("--fisher-axis", default="input", show_default=True, help="fwsvd's weights: per input feature or output.")
@click.option(
    "--solver-option",
    "solver_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=parse_options,
    help="Of an iterative method, for example start=row; methods --json lists them. Repeatable.",
)
@click.option("--fisher", type=click.Path(path_type=Path), help="Statistics file, instead of data.")
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
    allocate: str,
    fisher_axis: str,
    solver_options: dict[str, str],
    fisher: Path | None,
    labels: str,
    dtype: str,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a compressed copy of MODEL into the folder OUT.

    Give exactly one of --ratio, --rank and --params, and either task data or a statistics file (svd needs neither).

    \b
    Example:
      fwsvd-export compress my-model my-model-small --task sst2 --data train.jsonl --max-samples 2048 --ratio 0.25
    """
    data, source = data_request(options), source_of(model, options)
    if data is not None and fisher is not None:
        raise click.UsageError("give either task data (--data, --dataset) or a statistics file (--fisher), not both")
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, print_table, steps
    from fwsvd_export.pipeline import CompressRequest, run_compress
    from fwsvd_export.records import Budget

    request = CompressRequest(
        source=source,
        out=out,
        method=method,
        budget=Budget(ratio, rank, params),
        data=data,
        fisher=fisher,
        labels=labels,
        allocate=allocate,
        axis=fisher_axis,
        solver_options=solver_options,
        dtype=dtype,
        overwrite=overwrite,
    )
    prepare_libraries()
    compressed, record = run_compress(request, steps())
    if as_json:
        print_json({"output": str(out), **record})
        return
    counts = compressed.parameters
    kept = [layer.name for layer in compressed.layers if layer.kept_dense]
    ranks = sorted({layer.rank for layer in compressed.layers if layer.rank is not None})
    rows = [
        ["method", f"{method}, {allocate} ranks"],
        [
            "linear weights",
            f"{counts.linear_compressed:,} of {counts.linear_dense:,} "
            f"({100 * counts.linear_compressed / counts.linear_dense:.1f} %)",
        ],
        ["all parameters", f"{counts.total_compressed:,} of {counts.total_dense:,}"],
        ["ranks", f"{ranks[0]} to {ranks[-1]}" if ranks else "none"],
        ["layers kept dense", f"{len(kept)} of {len(compressed.layers)}"],
        ["seconds", ", ".join(f"{name} {value:.1f}" for name, value in record["seconds"].items())],
    ]
    print_table(f"{out}", ["what", "value"], rows)
    if kept:
        hint("Kept dense, because factors of this rank would not be smaller: " + ", ".join(kept))
    for layer in compressed.layers:
        if not layer.settled:
            hint(f"{layer.name}: {layer.status}")
