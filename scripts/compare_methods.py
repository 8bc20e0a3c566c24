"""The closed-form methods on real fine-tuned models: metric against size, without fine-tuning afterwards.

    python scripts/compare_methods.py --models MODELS --data DATA -o docs/results

MODELS holds one folder per task (sst2, stsb, cola), DATA one folder per task with train.jsonl and validation.jsonl.
Writes closed_form.json, closed_form.md (a table) and closed_form.png, and prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fwsvd_export.bench.accuracy import evaluate_model
from fwsvd_export.calibration import DataRequest, load_batches
from fwsvd_export.checkpoint import load_checkpoint, load_tokenizer
from fwsvd_export.compression import compress_model
from fwsvd_export.records import Budget
from fwsvd_export.report.figures import Panel, draw_metric_against_size
from fwsvd_export.solvers import SOLVERS
from fwsvd_export.statistics import collect_statistics
from fwsvd_export.storage import write_json
from fwsvd_export.tasks import task_named

VARIANTS = {  # label -> (method, orientation of row weights)
    "svd": ("svd", "input"),
    "fwsvd": ("fwsvd", "input"),
    "fwsvd (output)": ("fwsvd", "output"),
    "activation": ("activation", "input"),
    "kfac": ("kfac", "input"),
}


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="sst2,stsb,cola")
    parser.add_argument("--ratios", default="0.5,0.375,0.25,0.15,0.1")
    parser.add_argument("--max-samples", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    ratios = [float(ratio) for ratio in arguments.ratios.split(",")]
    tasks = [
        run_task(name, arguments.models / name, arguments.data / name, ratios, arguments.max_samples, arguments.seed)
        for name in arguments.tasks.split(",")
    ]
    result = {"calibration_examples": arguments.max_samples, "seed": arguments.seed, "tasks": tasks}
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_json(arguments.output / "closed_form.json", result)
    (arguments.output / "closed_form.md").write_text(table(tasks), encoding="utf-8")
    panels = [
        Panel(
            f"{task['task']} (validation)",
            task["metric"],
            task["dense"],
            {
                label: [(row["ratio"], row["value"]) for row in task["rows"] if row["method"] == label]
                for label in VARIANTS
            },
        )
        for task in tasks
    ]
    draw_metric_against_size(panels, arguments.output / "closed_form.png")
    print(json.dumps(result))


def run_task(name: str, model: Path, data: Path, ratios: list[float], samples: int, seed: int) -> dict[str, Any]:
    """All methods and ratios on one task, from one collection of statistics."""
    task = task_named(name)
    checkpoint = load_checkpoint(str(model))
    tokenizer = load_tokenizer(checkpoint)
    config = checkpoint.model.config
    calibration = load_batches(
        DataRequest(task, data / "train.jsonl", max_samples=samples, seed=seed), tokenizer, config
    )
    validation = load_batches(DataRequest(task, data / "validation.jsonl", batch_size=32), tokenizer, config)
    statistics = collect_statistics(checkpoint.model, calibration, collect=("kfac", "row"))
    dense = evaluate_model(checkpoint.model, validation, task)
    rows = []
    for ratio in ratios:
        for label, (method, axis) in VARIANTS.items():
            compressed = compress_model(checkpoint.model, SOLVERS[method], Budget(ratio=ratio), statistics, axis=axis)
            value = evaluate_model(compressed.model, validation, task).value
            parameters = compressed.parameters.total_compressed
            print(f"{name} {ratio:g} {label}: {value:.4f}", file=sys.stderr, flush=True)
            rows.append({"method": label, "ratio": ratio, "value": round(value, 4), "parameters": parameters})
    return {
        "task": name,
        "metric": dense.metric,
        "dense": round(dense.value, 4),
        "validation_examples": dense.examples,
        "rows": rows,
    }


def table(tasks: list[dict[str, Any]]) -> str:
    """A Markdown table: a line per task and ratio, a column per method."""
    lines = [
        "| task (dense) | weights kept | " + " | ".join(VARIANTS) + " |",
        "|---|---|" + "---|" * len(VARIANTS),
    ]
    for task in tasks:
        for ratio in dict.fromkeys(row["ratio"] for row in task["rows"]):
            values = {row["method"]: row["value"] for row in task["rows"] if row["ratio"] == ratio}
            cells = " | ".join(f"{values[label]:.3f}".replace("0.", ".", 1) for label in VARIANTS)
            dense = f"{task['dense']:.3f}".replace("0.", ".", 1)
            lines.append(f"| {task['task']} ({dense}) | {100 * ratio:g} % | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
