"""The study's comparison on our models: metric against rank by method, with and without fine-tuning afterwards.

    python scripts/reproduce_study.py --models MODELS --data DATA --work FOLDER [--device cuda --processes 14]

MODELS holds a fine-tuned model per task (cola, stsb, sst2), DATA its train.jsonl and validation.jsonl. Every task is
one ``fwsvd-export sweep`` into FOLDER/TASK, cut into shards where several processes are asked for: what is done is
never made again, and a run that was stopped goes on. Writes study/TASK.json, the figure study.png, the tables of
study.md and the page study.html into -o, and prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

from study_pages import draw_study, fill_page

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.write import write_page
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.sweep.result import SweepResult
from fwsvd_export.sweep.store import read_result

# Of a width of 384: 1/20, 1/10, 1/5 (the study's rank 150 at its width of 768) and 2/5
RANKS = (19, 38, 75, 150)
CALIBRATION = ("--max-samples", "2048", "--batch-size", "32")
TRAINING = ("--training", "none,finetuned", "--finetune-epochs", "1", "--finetune-lr", "3e-4")
TASKS: dict[str, tuple[str, ...]] = {"cola": (), "stsb": (), "sst2": ("--train-samples", "8192")}


def main() -> None:
    """Makes what is missing, and writes what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--models", "--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=1, help="at one time, the same number for every task")
    parser.add_argument("--only-sweep", action="store_true", help="leave tables, figure and page to a later run")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    parts = max(1, arguments.processes // len(arguments.tasks))
    shares = [
        tuple(sweep_words(arguments, task, f"{part}/{parts}"))
        for part, task in product(range(1, parts + 1), arguments.tasks)
    ]
    with ThreadPoolExecutor(arguments.processes) as pool:
        list(pool.map(run, shares))
    folders = [arguments.work / task for task in arguments.tasks]
    if not arguments.only_sweep:
        write_results([read_result(folder) for folder in folders], folders, arguments.output)
    print(json.dumps({folder.name: counts(read_result(folder)) for folder in folders}))


def sweep_words(arguments: argparse.Namespace, task: str, shard: str) -> Iterator[str]:
    """The command line of a share of a task's sweep."""
    data = arguments.data / task
    yield from (sys.executable, "-m", "fwsvd_export", "-q", "sweep", str(arguments.models / task), "--task", task)
    yield from ("--data", str(data_file(data, "train")), "--validation", str(data_file(data, "validation")))
    yield from ("-o", str(arguments.work / task), "--device", arguments.device, "--shard", shard)
    yield from ("--methods", ",".join(METHODS), "--ranks", ",".join(map(str, RANKS)), "--seeds", str(arguments.seeds))
    yield from (*CALIBRATION, *TRAINING, "--finetune-evaluations", "1", *TASKS[task])


def data_file(folder: Path, part: str) -> Path:
    """The JSON lines of a part, compressed or not."""
    return next(folder / name for name in (f"{part}.jsonl", f"{part}.jsonl.gz") if (folder / name).is_file())


def run(words: Sequence[str]) -> None:
    """Runs one command; raises where it fails."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def write_results(results: Sequence[SweepResult], folders: Sequence[Path], out: Path) -> None:
    """The sweeps' rows without the ranks of every layer, which are all alike, the figure, the tables and the page."""
    (out / "study").mkdir(exist_ok=True)
    for result in results:
        rows = tuple(replace(row, ranks={}) for row in result.rows)
        write_json(out / "study" / f"{result.task}.json", replace(result, rows=rows).to_json())
    draw_study(results, out / "study.png")
    fill_page(out / "study.md", results)
    write_page(build_page(folders), out / "study.html", overwrite=True)


def counts(result: SweepResult) -> dict[str, float]:
    """How much of a sweep is done, and in how many seconds of all processes."""
    return {"done": len(result.rows), "planned": result.planned, "seconds": round(sum(result.seconds.values()))}


if __name__ == "__main__":
    main()
