r"""The methods on real fine-tuned models: metric, element-weighted loss and seconds, without fine-tuning afterwards.

    python scripts/compare_methods.py --models MODELS --data DATA -o docs/results
    python scripts/compare_methods.py --models MODELS --data DATA -o docs/results --name element_weighted \
        --variants svd,fwsvd,activation,kfac:uniform,em,nesterov,anderson,als --ratios 0.5,0.25
    python scripts/compare_methods.py --models MODELS --data DATA -o docs/results --name five_tasks --seeds 0,1,2 \
        --tasks sst2,stsb,cola,banking77,snips --ratios 0.5,0.25,0.1,0.05 --no-weighted-loss \
        --variants kfac:reconstructed
    python scripts/compare_methods.py -o docs/results --render

MODELS holds one folder per task (sst2, stsb, cola, banking77, snips), DATA one per task with train.jsonl and
validation.jsonl. A variant is a method, or method:manner+manner with an allocator (uniform, greedy), an axis of fwsvd
(input, output), reconstructed (layer outputs fitted on the calibration data, as compress does by default for kfac),
widths (neurons removed too, as compress does by default for kfac), embeddings=RATIO, temperature=T of the statistics,
texts=ROWS that layers are reconstructed on, without labels (as --reconstruct-samples), or refined=MINUTES on all
training texts. With several seeds the table has what is kept of the dense metric: the mean over seeds, the lowest and
the highest, and the first seed's paired 95 % interval.
Writes NAME.json, NAME.md (tables) and NAME.png, and prints one JSON object last. What NAME.json has already is not made
again, so that variants, ratios and seeds can be added, and a run that was stopped goes on; remove it when code or a
model has changed. --render writes the tables and the picture again from the NAME.json that is there. The weighted loss
is the share of sum_ij F_ij W_ij² that is lost, F the Fisher of each weight, summed over all layers: what the
element-weighted methods minimise, measured for all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.prepare import compress_model
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.evaluation.paired import paired_difference, scored
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.records import TEMPERATURE, Budget, RankRequest, Statistics
from fwsvd_export.report.figures import Panel, draw_metric_against_size
from fwsvd_export.solvers.names import AXES
from fwsvd_export.solvers.options import options_from
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.training.refine import refine
from fwsvd_export.workflows.refine import RefineRequest, refine_text

TASKS = {
    "banking77": task_named("classification"),
    "snips": task_named("ner").with_columns("tokens", None, "tags"),
}
DEFAULT_VARIANTS = "svd,fwsvd,activation,kfac:uniform,kfac:greedy,kfac:reconstructed"


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", default="sst2,stsb,cola")
    parser.add_argument("--variants", default=DEFAULT_VARIANTS, help="Methods, as svd, fwsvd:output, kfac:uniform.")
    parser.add_argument("--ratios", default="0.75,0.5,0.37,0.25,0.15,0.1")
    parser.add_argument("--max-samples", type=int, default=2048)
    parser.add_argument("--seeds", default="0", help="Of the choice of calibration rows.")
    parser.add_argument("--no-weighted-loss", action="store_true", help="Leave it out; it costs most of the time.")
    parser.add_argument("--name", default="allocation", help="Of the files.")
    parser.add_argument(
        "--render", action="store_true", help="Only write tables and picture of results that are there."
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    place = arguments.output / f"{arguments.name}.json"
    if arguments.render:
        result = json.loads(place.read_text(encoding="utf-8"))
    elif arguments.models is None or arguments.data is None:
        parser.error("give --models and --data, or --render")
    else:
        variants = arguments.variants.split(",")
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        names = arguments.tasks.split(",")
        arguments.output.mkdir(parents=True, exist_ok=True)
        result = made_before(place, arguments.max_samples, not arguments.no_weighted_loss)
        for seed, name in product(seeds, names):
            for task in run_task(name, seed, variants, arguments, result["tasks"]):
                result["tasks"] = [*(other for other in result["tasks"] if key_of(other) != (name, seed)), task]
                result["seeds"] = sorted({task["seed"] for task in result["tasks"]})
                write_json(place, result)  # what is done is kept when the next is interrupted
        result["tasks"].sort(
            key=lambda task: (task["seed"], names.index(task["task"]) if task["task"] in names else -1)
        )
        write_json(place, result)
    render(result["tasks"], place)
    print(json.dumps(result))


def made_before(place: Path, examples: int, weighted: bool) -> dict[str, Any]:
    """The results that are there, to which others are added."""
    if not place.is_file():
        return {"calibration_examples": examples, "seeds": [], "tasks": []}
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    rows = [row for task in found["tasks"] for row in task["rows"]]
    alike = all("seed" in task for task in found["tasks"]) and all("low" in row for row in rows)
    if (
        not alike
        or found["calibration_examples"] != examples
        or any(("weighted_loss" in row) != weighted for row in rows)
    ):
        sys.exit(
            f"{place} has results of another kind, which these cannot be added to: give another --name, or remove it"
        )
    return found


def key_of(task: dict[str, Any]) -> tuple[str, int]:
    """What tells the results of one task and one choice of calibration rows apart."""
    return task["task"], task["seed"]


def render(tasks: list[dict[str, Any]], place: Path) -> None:
    """Writes the tables and the picture of results beside their JSON file."""
    several = len({task.get("seed", 0) for task in tasks}) > 1
    unweighted = "weighted_loss" not in tasks[0]["rows"][0]
    text = (
        kept_table(tasks)
        if several or unweighted
        else f"{metric_table(tasks)}\n{''.join(detail_table(task) for task in tasks)}"
    )
    place.with_suffix(".md").write_text(text, encoding="utf-8")
    tasks = [task for task in tasks if task.get("seed", 0) == tasks[0].get("seed", 0)]
    panels = [
        Panel(
            f"{task['task']} (validation)",
            task["metric"],
            {
                label: [(row["ratio"], row["value"]) for row in task["rows"] if row["method"] == label]
                for label in labels(tasks)
            },
            dense=task["dense"],
        )
        for task in tasks
    ]
    draw_metric_against_size(panels, place.with_suffix(".png"))


def run_task(
    name: str, seed: int, variants: Sequence[str], arguments: argparse.Namespace, tasks: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """All methods and ratios on one task and one choice of calibration rows, as far as they are done, after each."""
    done = [row for task in tasks if key_of(task) == (name, seed) for row in task["rows"]]
    pairs = [(ratio, label) for ratio in map(float, arguments.ratios.split(",")) for label in variants]
    missing = [pair for pair in pairs if pair not in {(row["ratio"], row["method"]) for row in done}]
    if not missing:
        return
    subject = Subject(name, seed, variants, arguments)
    for ratio, label in missing:
        row = subject.row(ratio, label)
        print(name, seed, json.dumps(row), file=sys.stderr, flush=True)
        done = sorted([*done, row], key=lambda row: (-row["ratio"], row["method"]))
        yield {
            "task": name,
            "seed": seed,
            "metric": subject.dense.measurement.metric,
            "dense_parameters": total_parameters(subject.checkpoint.model),
            "dense": round(subject.dense.measurement.value, 4),
            "validation_examples": subject.dense.measurement.examples,
            "rows": done,
        }


class Subject:
    """A dense model, its data, and its statistics."""

    def __init__(self, name: str, seed: int, variants: Sequence[str], arguments: argparse.Namespace) -> None:
        self.task = TASKS.get(name) or task_named(name)
        self.checkpoint = load_checkpoint(str(arguments.models / name))
        self.train = DataRequest(
            self.task, arguments.data / name / "train.jsonl", max_samples=arguments.max_samples, seed=seed
        )
        held_out = DataRequest(self.task, arguments.data / name / "validation.jsonl", batch_size=32)
        self.calibration, self.validation = map(self._batches, (self.train, held_out))
        methods = {variant.partition(":")[0] for variant in variants}
        needs = {SOLVERS[method].needs or "kfac" for method in methods}
        self.weighted = not arguments.no_weighted_loss
        collect = tuple(needs | {"element"} if self.weighted else needs)
        self.statistics_at = cache(
            lambda temperature: collect_statistics(
                self.checkpoint.model, self.calibration, collect=collect, temperature=temperature
            )
        )
        self.dense = scored(self.checkpoint.model, self.validation, self.task)

    def _batches(self, request: DataRequest) -> Batches:
        return load_batches(request, load_tokenizer(self.checkpoint), self.checkpoint.encoder)

    def row(self, ratio: float, label: str) -> dict[str, Any]:
        """What one variant keeps at one ratio."""
        method, _, manners = label.partition(":")
        asked = manners.split("+")
        given = {name: float(value) for name, _, value in (manner.partition("=") for manner in asked) if value}
        allocator = next((manner for manner in asked if manner in ALLOCATORS), None)
        axis = next((manner for manner in asked if manner in AXES), None)
        widths = "auto" if "widths" in asked else "keep"
        size = RankRequest(Budget(ratio=ratio), allocator, embeddings=given.get("embeddings"), widths=widths)
        statistics = self.statistics_at(given.get("temperature", TEMPERATURE))
        begin = time.perf_counter()
        options = options_from(method, SOLVERS[method].options, {"axis": axis} if axis else {})
        fitted_on = self._texts(given.get("texts")) if "reconstructed" in asked else None
        inputs = Inputs(self.checkpoint.encoder, SOLVERS[method], options, size, statistics, fitted_on)
        compressed = compress_model(inputs)
        beside: dict[str, Any] = {}
        if "refined" in given:
            beside["refined_batches"] = self._refined(compressed.model, given["refined"])
        seconds = time.perf_counter() - begin
        found = scored(compressed.model, self.validation, self.task)
        difference = paired_difference(found, self.dense, "dense")
        if self.weighted:
            lost = weighted_loss(self.checkpoint.model, compressed.model, statistics)
            beside["weighted_loss"] = round(lost, 4)
        return {
            "method": label,
            "ratio": ratio,
            "value": round(found.measurement.value, 4),
            "low": round(difference.low, 4),
            "high": round(difference.high, 4),
            "seconds": round(seconds, 1),
            "parameters": compressed.report.parameters.total_compressed,
            **beside,
        }

    def _texts(self, rows: float | None) -> Batches:
        """What layers are reconstructed on: the calibration rows, or as many rows of all, without labels."""
        if rows is None:
            return self.calibration
        return self._batches(replace(self.train.without_labels(), max_samples=int(rows)))

    def _refined(self, model: Any, minutes: float) -> int:
        """Refines a model in place, as ``compress --refine model`` does; the number of batches that it took."""
        text = refine_text(RefineRequest(minutes=minutes), self.train, self.calibration, None, self.checkpoint)
        return refine(
            model,
            self.checkpoint.model,
            text.batches,
            held_out=text.held_out,
            minutes=minutes,
            seed=self.train.seed,
        ).batches


def weighted_loss(dense: Any, small: Any, statistics: Statistics) -> float:
    """The lost share of sum F∘W²: sum F∘(W - UV)² over it, all layers together."""
    before, after = dict(encoder_of(dense).base.named_modules()), dict(encoder_of(small).base.named_modules())
    lost = energy = 0.0
    for layer in encoder_of(dense).layers:
        elements = statistics.layers[layer.name].element
        assert elements is not None, "collected above"
        weight, factors = before[layer.name].weight.detach(), after[layer.name]
        if hasattr(factors, "down"):
            rest = weight - factors.up.weight.detach() @ factors.down.weight.detach()
            lost += float((elements * rest.square()).sum())
        energy += float((elements * weight.square()).sum())
    return lost / energy


def labels(tasks: list[dict[str, Any]]) -> list[str]:
    """The variants that results have, in their order."""
    return list(dict.fromkeys(row["method"] for task in tasks for row in task["rows"]))


def metric_table(tasks: list[dict[str, Any]]) -> str:
    """A Markdown table: a line per task and ratio, a column per variant."""
    variants = labels(tasks)
    titles = [f"{label.replace(':', ' (').replace('+', ', ')})" if ":" in label else label for label in variants]
    lines = ["| task (dense) | weights kept | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(variants)]
    for task in tasks:
        for ratio in dict.fromkeys(row["ratio"] for row in task["rows"]):
            values = {row["method"]: row["value"] for row in task["rows"] if row["ratio"] == ratio}
            cells = " | ".join(short(values[label]) if label in values else "" for label in variants)
            lines.append(f"| {task['task']} ({short(task['dense'])}) | {100 * ratio:g} % | {cells} |")
    return "\n".join(lines) + "\n"


def kept_table(tasks: list[dict[str, Any]]) -> str:
    """A Markdown table of what is kept of the dense metric, over seeds: a line per task and ratio."""
    variants = labels(tasks)
    lines = ["| task (dense) | weights kept | " + " | ".join(variants) + " |", "|---|---|" + "---|" * len(variants)]
    for name in dict.fromkeys(task["task"] for task in tasks):
        runs = [task for task in tasks if task["task"] == name]
        for ratio in sorted({row["ratio"] for run in runs for row in run["rows"]}, reverse=True):
            cells = [kept_cell(runs, label, ratio) for label in variants]
            lines.append(f"| {name} ({short(runs[0]['dense'])}) | {100 * ratio:g} % | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def kept_cell(runs: list[dict[str, Any]], label: str, ratio: float) -> str:
    """Mean, lowest and highest share of the dense metric; the first seed's interval; nothing where nothing is."""
    pairs = [
        (run["dense"], row) for run in runs for row in run["rows"] if (row["method"], row["ratio"]) == (label, ratio)
    ]
    if not pairs:
        return ""
    kept = [100 * row["value"] / dense for dense, row in pairs]
    first = pairs[0][1]
    spread = f" ({min(kept):.1f} to {max(kept):.1f}, {len(kept)} seeds)" if len(kept) > 1 else ""
    return f"{sum(kept) / len(kept):.1f} %{spread}, {short(first['value'])} [{first['low']:+.3f}, {first['high']:+.3f}]"


def detail_table(task: dict[str, Any]) -> str:
    """A Markdown table of one task: a line per method; metric, weighted loss and seconds at each ratio."""
    ratios = list(dict.fromkeys(row["ratio"] for row in task["rows"]))
    titles = [f"{100 * ratio:g} %: {what}" for ratio in ratios for what in (task["metric"], "weighted loss", "seconds")]
    lines = [f"\n## {task['task']} (dense {task['dense']:.4f})\n", "| method | " + " | ".join(titles) + " |"]
    lines.append("|---|" + "---|" * len(titles))
    for label in dict.fromkeys(row["method"] for row in task["rows"]):
        rows = {row["ratio"]: row for row in task["rows"] if row["method"] == label}
        cells = [detail_cells(rows.get(ratio)) for ratio in ratios]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def detail_cells(row: dict[str, Any] | None) -> str:
    """Metric, weighted loss and seconds; nothing for what was not measured."""
    return " | | " if row is None else f"{row['value']:.4f} | {row['weighted_loss']:.4f} | {row['seconds']:.1f}"


def short(value: float) -> str:
    """Three digits, without the leading zero."""
    return f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
