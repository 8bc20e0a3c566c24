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
embeddings=RATIO, or temperature=T of the statistics. With several seeds the table has what is kept of the dense metric:
the mean over seeds, the lowest and the highest, and the first seed's paired 95 % interval.
Writes NAME.json, NAME.md (tables) and NAME.png, and prints one JSON object last; --render writes the tables and the
picture again from the NAME.json that is there. The weighted loss is the share of
sum_ij F_ij W_ij² that is lost, F the Fisher of each weight, summed over all layers: what the element-weighted methods
minimise, measured for all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
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
        tasks: list[dict[str, Any]] = []
        for seed, name in product(seeds, names):
            tasks.append(run_task(name, seed, variants, arguments))
            result = {"calibration_examples": arguments.max_samples, "seeds": seeds, "tasks": tasks}
            write_json(place, result)  # what is done is kept when the next is interrupted
    render(result["tasks"], place)
    print(json.dumps(result))


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


def run_task(name: str, seed: int, variants: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """All methods and ratios on one task and one choice of calibration rows."""
    task = TASKS.get(name) or task_named(name)
    checkpoint = load_checkpoint(str(arguments.models / name))
    encoder, tokenizer = checkpoint.encoder, load_tokenizer(checkpoint)
    train = DataRequest(task, arguments.data / name / "train.jsonl", max_samples=arguments.max_samples, seed=seed)
    held_out = DataRequest(task, arguments.data / name / "validation.jsonl", batch_size=32)
    calibration, validation = (load_batches(request, tokenizer, encoder) for request in (train, held_out))
    methods = {variant.partition(":")[0] for variant in variants}
    needs = {SOLVERS[method].needs or "kfac" for method in methods}
    collect = tuple(needs if arguments.no_weighted_loss else needs | {"element"})

    @cache
    def statistics_at(temperature: float) -> Statistics:
        return collect_statistics(checkpoint.model, calibration, collect=collect, temperature=temperature)

    dense = scored(checkpoint.model, validation, task)
    rows = []
    for ratio in map(float, arguments.ratios.split(",")):
        for label in variants:
            method, _, manners = label.partition(":")
            solver = SOLVERS[method]
            asked = manners.split("+")
            embeddings = [float(manner.partition("=")[2]) for manner in asked if manner.startswith("embeddings=")]
            size = RankRequest(
                Budget(ratio=ratio),
                next((manner for manner in asked if manner in ALLOCATORS), None),
                embeddings=embeddings[0] if embeddings else None,
            )
            warmth = [float(manner.partition("=")[2]) for manner in asked if manner.startswith("temperature=")]
            statistics = statistics_at(warmth[0] if warmth else TEMPERATURE)
            axis = next((manner for manner in asked if manner in AXES), None)
            begin = time.perf_counter()
            options = options_from(method, solver.options, {"axis": axis} if axis else {})
            batches = calibration if "reconstructed" in asked else None
            compressed = compress_model(Inputs(encoder, solver, options, size, statistics, batches))
            seconds = time.perf_counter() - begin
            difference = paired_difference(found := scored(compressed.model, validation, task), dense, name)
            row = {
                "method": label,
                "ratio": ratio,
                "value": round(found.measurement.value, 4),
                "low": round(difference.low, 4),
                "high": round(difference.high, 4),
                "seconds": round(seconds, 1),
                "parameters": compressed.report.parameters.total_compressed,
            }
            if not arguments.no_weighted_loss:
                row["weighted_loss"] = round(weighted_loss(checkpoint.model, compressed.model, statistics), 4)
            print(name, seed, json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    return {
        "task": name,
        "seed": seed,
        "metric": dense.measurement.metric,
        "dense_parameters": total_parameters(checkpoint.model),
        "dense": round(dense.measurement.value, 4),
        "validation_examples": dense.measurement.examples,
        "rows": rows,
    }


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
            cells = " | ".join(short(values[label]) for label in variants)
            lines.append(f"| {task['task']} ({short(task['dense'])}) | {100 * ratio:g} % | {cells} |")
    return "\n".join(lines) + "\n"


def kept_table(tasks: list[dict[str, Any]]) -> str:
    """A Markdown table of what is kept of the dense metric, over seeds: a line per task and ratio."""
    variants = labels(tasks)
    lines = ["| task (dense) | weights kept | " + " | ".join(variants) + " |", "|---|---|" + "---|" * len(variants)]
    for name in dict.fromkeys(task["task"] for task in tasks):
        runs = [task for task in tasks if task["task"] == name]
        for ratio in dict.fromkeys(row["ratio"] for row in runs[0]["rows"]):
            cells = [kept_cell(runs, label, ratio) for label in variants]
            lines.append(f"| {name} ({short(runs[0]['dense'])}) | {100 * ratio:g} % | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def kept_cell(runs: list[dict[str, Any]], label: str, ratio: float) -> str:
    """Mean, lowest and highest share of the dense metric; the first seed's interval of the difference."""
    pairs = [
        (run["dense"], row) for run in runs for row in run["rows"] if (row["method"], row["ratio"]) == (label, ratio)
    ]
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
        rows = [row for row in task["rows"] if row["method"] == label]
        cells = [f"{row['value']:.4f} | {row['weighted_loss']:.4f} | {row['seconds']:.1f}" for row in rows]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def short(value: float) -> str:
    """Three digits, without the leading zero."""
    return f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
