"""The model card: README.md from facts alone, written so that what an owner added survives."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.blocks import marked, renewed
from fwsvd_export.hub.card.facts import Facts, digests_of, gather_facts
from fwsvd_export.hub.card.markdown import block, code, one_line, plain
from fwsvd_export.hub.card.measurements import Measurements, load_measurements, with_results
from fwsvd_export.hub.card.metadata import front_matter, merged, metadata_of, model_name, split_front_matter
from fwsvd_export.hub.card.publication import checked_publication
from fwsvd_export.hub.card.snippets import Snippets
from fwsvd_export.hub.card.tables import int8_interval, latency_tables, score_table, size_table
from fwsvd_export.storage.file_names import CARD_FILE, MEASUREMENTS_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.locks import exclusive
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.wording import counted

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_BEGIN, _END = "\x00begin {}\x00", "\x00end\x00"  # no text from outside holds a zero byte: ``markdown`` drops them
_BLOCK = re.compile("\x00begin ([a-z]+)\x00(.*?)\x00end\x00", flags=re.DOTALL)
_NAMED = ("compression", "since", "retrained", "neurons")  # facts that the template is given on their own
_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def render_card(facts: Facts, existing: str = "") -> str:
    """README.md of a checkpoint; what was not measured is absent.

    Args:
        facts: from ``gather_facts``.
        existing: the card that is there; what its owner wrote stays (``blocks.renewed``, ``metadata.merged``).

    Raises:
        CardError: the existing card's front matter or markers are damaged.
    """
    matter, owner, body = split_front_matter(existing)
    values = merged(metadata_of(facts), owner or {}, model_name(facts["compression"]))
    # Front matter that says all this already stays as it was typed
    top = matter if owner is not None and values == owner else front_matter(values)
    return top + renewed(body, _blocks(facts))


def write_card(
    folder: Path,
    record: CompressionRecord,
    results: Sequence[Path] = (),
    *,
    repo_id: str | None = None,
    revision: str | None = None,
) -> Facts:
    """Takes results into ``measurements.json`` and writes README.md anew; returns what the card says.

    Args:
        folder: of a compressed model.
        record: its ``compression.json``.
        results: files of ``evaluate --json`` and ``bench``.
        repo_id: the model's id on the Hub, for the lines that load it; None keeps what was said before.
        revision: the commit for these lines; None keeps what was said before.

    Raises:
        CardError: a results file, an id, or an existing card that cannot be used.
        CheckpointError: the folder is not one that ``compress`` wrote.
    """
    digests = digests_of(folder, record)
    with exclusive(folder):  # or of two runs that add results the later one would lose the earlier one's
        measurements = load_measurements(folder, digests)
        for path in results:
            measurements = with_results(measurements, path, digests)
        published = checked_publication(measurements.published, repo_id, revision)
        measurements = replace(measurements, published=published)
        facts = gather_facts(folder, record, measurements, digests)
        _write(folder, facts, measurements)
    return facts


def _write(folder: Path, facts: Facts, measurements: Measurements) -> None:
    card = folder / CARD_FILE
    text = render_card(facts, read_card(card) if card.exists() else "")
    if measurements != Measurements() or (folder / MEASUREMENTS_FILE).exists():
        with atomic_output(folder / MEASUREMENTS_FILE, overwrite=True) as file:
            write_json(file, measurements.to_json())
    with atomic_output(card, overwrite=True) as file:
        file.write_bytes(text.encode("utf-8"))


def read_card(card: Path) -> str:
    """The card's text, line ends as they are.

    Raises:
        CardError: it is not UTF-8.
    """
    try:
        return card.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CardError(f"{card.name} is not UTF-8 text; save it in that encoding") from error


@functools.cache
def _template() -> jinja2.Template:
    """The template, read once; what is undefined in it is an error."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _blocks(facts: Facts) -> dict[str, str]:
    """Name -> text with markers, in the template's order."""
    compression, measurements = facts["compression"], facts["measurements"]
    plain_model = facts["model"].get("plain", False)  # facts of before know no plain models
    from fwsvd_export.solvers.table import SOLVERS  # late: it needs torch, and who only checks a card does not

    solver, snippets = SOLVERS.get(compression["method"]), Snippets.of(facts)
    made = compression.get("recipe") or compression  # the command of a recipe needs no other file
    words = [one_line(word) for word in made.get("command") or ()]
    languages = (compression.get("base_card") or {}).get("language") or []
    scores = score_table(measurements["scores"])
    counts = compression["parameters"]
    text = _template().render(
        **{name: value for name, value in facts.items() if name not in _NAMED},
        compression={**_OPTIONAL, **compression},
        begin=_BEGIN.format,
        end=lambda name: _END,
        plain_model=plain_model,
        now=facts["model"].get("parameters") or counts["total_dense" if plain_model else "total_compressed"],
        retrained=facts.get("retrained", False),
        neurons=facts.get("neurons"),
        base_digest=_base_digest(compression),
        since="; ".join(map(plain, facts.get("since", ()))),
        code=code,
        plain=plain,
        count="{:,}".format,
        counted=counted,
        percent=lambda share: f"{100 * share:.1f} %",
        value="{:.4f}".format,
        scientific="{:.1e}".format,
        versions=lambda record: ", ".join(f"{plain(name)} {plain(is_)}" for name, is_ in record["versions"].items()),
        sizes=size_table(facts),
        scores=scores,
        differences=any(row.difference for row in scores),
        interval=int8_interval,
        compressed_scores=[row for row in scores if row.compressed],
        runs=latency_tables(measurements["runs"]),
        loading=block(snippets.torch, "python"),
        onnx_loading=block(snippets.onnx, "python"),
        optimum_loading=block(snippets.optimum, "python") if snippets.optimum else "",
        command=block(shlex.join(words), "sh") if words else "",
        minimises=solver.minimises if solver else "",
        source=_ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", solver.source) + "." if solver else "",
        languages=[languages] if isinstance(languages, str) else languages,
    )
    return {found[1]: marked(found[1], found[2]) for found in _BLOCK.finditer(text)}


def _base_digest(compression: dict[str, Any]) -> str:
    """The digests of the base's weights, as far as they are recorded."""
    if compression["base_sha256"]:
        return code(compression["base_sha256"])
    files = compression.get("base_files") or {}
    if not files:
        return "in several files" if compression.get("base_weights") else "not recorded, it was a model in memory"
    return ", ".join(f"{code(file['sha256'])} ({code(name)})" for name, file in files.items())


# What a compression.json of before may lack
_OPTIONAL: dict[str, Any] = {
    "base_revision": None,
    "base_weights": None,
    "reconstruction": None,
    "refinement": None,
    "embeddings": None,
    "gate": None,
    "fisher": None,
}
