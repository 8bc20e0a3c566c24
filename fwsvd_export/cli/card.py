"""``card``: README.md of a compressed checkpoint, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import PATH, json_option
from fwsvd_export.wording import counted


@click.command(cls=Command)
@click.argument("model", type=PATH)
@option(
    Group.MEASUREMENT,
    "--results",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="File with results of MODEL or of its base: results.json of bench, or what evaluate --json printed. "
    "Repeatable.",
)
@option(Group.REPOSITORY, "--repo-id", metavar="ID", help="Id on the Hub that the card loads the model by.")
@option(
    Group.REPOSITORY, "--revision", metavar="SHA", show_default="main", help="Commit or branch that the card loads."
)
@click.option(
    "--accept-weights",
    is_flag=True,
    help="Enter the weights in compression.json as they are: what changed them left no word there.",
)
@json_option
def command(
    model: Path, results: tuple[Path, ...], accept_weights: bool, as_json: bool, **published: str | None
) -> None:
    """Write README.md of the compressed folder MODEL anew, from compression.json and from measured results.

    Results are told apart by the digests of the weights that they were measured on, and kept in measurements.json.
    What was not measured is absent. Text outside the card's own markers and metadata that you changed stay. What was
    done since the compression is said, too: save_pretrained enters it in compression.json.

    \b
    Example:
      fwsvd-export card my-model-small --results bench/results.json --repo-id me/my-model-small
    """
    from fwsvd_export.checkpoints.folder import accept_weights as accept
    from fwsvd_export.checkpoints.folder import read_compression
    from fwsvd_export.checkpoints.record import ACCEPT_WEIGHTS
    from fwsvd_export.cli.console import hint, print_json, print_table
    from fwsvd_export.hub.card.metadata import split_front_matter
    from fwsvd_export.hub.card.write import read_card, write_card
    from fwsvd_export.storage.file_names import CARD_FILE

    record = accept(model) if accept_weights else read_compression(model)
    facts = write_card(model, record, results, **published)
    measurements = facts["measurements"]
    if as_json:
        print_json({"card": str(model / CARD_FILE), **facts})
        return
    scores, runs = measurements["scores"], measurements["runs"]
    rows = [[f"{score['metric']}, {score['model']} ({score['runtime']})", f"{score['value']:.4f}"] for score in scores]
    rows += [[f"latency on {run['environment']['cpu']}", counted(len(run["models"]), "model")] for run in runs]
    print_table(f"{model / CARD_FILE}", ["what", "value"], rows)
    if not rows:
        hint(f"{model / CARD_FILE} is written, without anything measured.")
    if facts["unrecorded"]:
        hint(f"compression.json does not describe these weights; {ACCEPT_WEIGHTS}.")
    _, metadata, _ = split_front_matter(read_card(model / CARD_FILE))  # with what its owner wrote there
    for missing, advice in _missing(facts, metadata or {}):
        hint(f"Not in the card: {missing}; {advice}.")


def _missing(facts: dict[str, Any], metadata: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader would look for, and where it would come from."""
    measurements = facts["measurements"]
    measured = {score["model"] for score in measurements["scores"]}
    sure = any("difference" in score for score in measurements["scores"])
    wanted = [
        ("this model's metric", "give --results of evaluate --json or bench", "compressed" in measured),
        ("the base's metric", "measure the base on the same data", "dense" in measured),
        ("how sure the difference is", "give --results of evaluate --against or bench", sure or len(measured) < 2),
        ("latency", "give --results of bench", bool(measurements["runs"])),
        ("a license", "add a line such as license: mit to its front matter", bool(metadata.get("license"))),
        ("a tokenizer", "save it into the same folder, and run this again", facts["model"]["tokenizer"]),
    ]
    return [(what, advice) for what, advice, there in wanted if not there]
