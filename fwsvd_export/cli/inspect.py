"""``inspect``: what a checkpoint is made of."""

from __future__ import annotations

from typing import Any

import click

from fwsvd_export.cli.groups import Command
from fwsvd_export.cli.options import json_option, trust_option


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
        "word embeddings": _embeddings_cell(found["embeddings"]),
        "base model": provenance.get("base_model"),
        "base weights SHA-256": provenance.get("base_sha256"),
        "method": provenance.get("method"),
        "Fisher statistics": f"{fisher['examples']} examples of {fisher['data']}" if fisher else None,
        "since then": "; ".join(found["since"]) or None,
    }
    print_table(model, ["what", "value"], [[name, value] for name, value in facts.items() if value is not None])
    rows = [
        [
            layer["name"],
            f"{layer['shape'][0]} x {layer['shape'][1]}",
            "dense" if layer["rank"] is None else str(layer["rank"]),
            f"{layer['weights']:,}",
            "" if layer["predicted_loss"] is None else f"{layer['predicted_loss']:.3g}",
        ]
        for layer in found["layers"]
    ]
    print_table("Layers", ["layer", "out x in", "rank", "weights", "predicted loss"], rows)


def _embeddings_cell(embeddings: dict[str, Any]) -> str:
    rank = embeddings["rank"]
    return f"{embeddings['shape'][0]:,} x {embeddings['shape'][1]}, {'dense' if rank is None else f'rank {rank}'}"
