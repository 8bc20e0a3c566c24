"""``inspect``: what a checkpoint is made of."""

from __future__ import annotations

from typing import Any

import click

from fwsvd_export.cli.groups import Command
from fwsvd_export.cli.options import json_option, trust_option
from fwsvd_export.wording import counted, grouped, neurons_in_words


@click.command(cls=Command)
@click.argument("model")
@trust_option
@json_option
def command(model: str, trust_remote_code: bool, as_json: bool) -> None:
    """Show parameters, ranks, method and provenance of a compressed MODEL; the compressible layers of a dense one.

    \b
    Example:
      fwsvd-export inspect my-model-small
    """
    from fwsvd_export.cli.console import prepare_libraries, print_json, print_table
    from fwsvd_export.workflows.inspect import inspect_checkpoint

    prepare_libraries()
    found = inspect_checkpoint(model, trust_remote_code=trust_remote_code)
    if as_json:
        print_json(found)
        return
    provenance = found["compression"] or {}
    fisher = provenance.get("fisher") or {}
    facts = {
        "class": found["class"],
        "compressed": "yes" if found["compressed"] else "no",
        "all parameters": f"{found['parameters']['total']:,}",
        "linear weights": f"{found['parameters']['linear']:,}",
        "linear weights when dense": f"{found['parameters']['linear_dense']:,}",
        "neurons": _neurons_cell(found["neurons"]),
        "word embeddings": _embeddings_cell(found["embeddings"]),
        "base model": provenance.get("base_model"),
        "base weights SHA-256": provenance.get("base_sha256"),
        "method": provenance.get("method"),
        "Fisher statistics": f"{counted(fisher['examples'], 'example')} of {fisher['data']}" if fisher else None,
        "since then": "; ".join(found["since"]) or None,
    }
    print_table(model, ["what", "value"], [[name, value] for name, value in facts.items() if value is not None])
    columns = ["layer", "out x in", "rank", "weights of each", "predicted loss of each"]
    print_table(counted(len(found["layers"]), "layer"), columns, layer_rows(found["layers"]))


def layer_rows(layers: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of the table of layers: those that differ in their number alone, and have the same shape and rank, are one.

    Args:
        layers: as ``workflows.inspect`` lists them.
    """
    equal: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for layer in layers:
        role = ".".join("" if part.isdecimal() else part for part in layer["name"].split("."))
        equal.setdefault((role, str(layer["shape"]), str(layer["rank"])), []).append(layer)
    rows = []
    for alike in equal.values():
        (out, inputs), rank, weights = (alike[0][name] for name in ("shape", "rank", "weights"))
        losses = sorted(layer["predicted_loss"] for layer in alike if layer["predicted_loss"] is not None)
        shown = dict.fromkeys(f"{loss:.3g}" for loss in (*losses[:1], *losses[-1:]))
        names = ", ".join(grouped(layer["name"] for layer in alike))
        cells = [f"{out} x {inputs}", "dense" if rank is None else str(rank), f"{weights:,}", " to ".join(shown)]
        rows.append([names, *cells])
    return rows


def _embeddings_cell(embeddings: dict[str, Any]) -> str:
    rank = embeddings["rank"]
    return f"{embeddings['shape'][0]:,} x {embeddings['shape'][1]}, {'dense' if rank is None else f'rank {rank}'}"


def _neurons_cell(parts: list[dict[str, Any]]) -> str | None:
    """What is left of the neurons; None where all are."""
    narrow = [part for part in parts if part["left"] < part["before"]]
    return neurons_in_words([part["left"] for part in narrow], narrow[0]["before"]) if narrow else None
