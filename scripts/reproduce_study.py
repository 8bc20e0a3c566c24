"""The study's comparison on our models: metric against rank by method, with and without fine-tuning afterwards.

    python scripts/reproduce_study.py --models MODELS --data DATA --work FOLDER [--device cuda --processes 15]

MODELS holds a fine-tuned model per task (cola, stsb, sst2), DATA its train.jsonl and validation.jsonl. Every task and
grid is one ``fwsvd-export sweep`` into FOLDER/TASK-GRID, cut into shards where several processes are asked for: what is
done is never made again, and a run that was stopped goes on. Writes study/TASK-GRID.json, the figure study.png, the
tables of study.md and the page study.html into -o, and prints one JSON object last.
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

from study_pages import TASKS, draw_study, filled, read_studies

from fwsvd_export.report.page.build import build_page
from fwsvd_export.report.page.write import write_page
from fwsvd_export.solvers.names import METHODS
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.names import without_folders
from fwsvd_export.sweep.result import SweepResult, SweepRow
from fwsvd_export.sweep.store import read_result

# Ranks of a width of 384: 1/20, 1/10, 1/5 (the study's rank 150 at its width of 768) and 2/5
GRIDS = {
    "untrained": ("--ranks", "19,38,75,150", "--seeds", "3"),
    "finetuned": ("--ranks", "75", "--training", "finetuned", "--finetune-evaluations", "3"),
}
CALIBRATION = ("--max-samples", "2048", "--batch-size", "32", "--temperature", "1")  # the Fisher of the papers
RANKS_ALONE = ("--widths", "keep")  # what is compared is how ranks are filled
LONG = {"sst2": ("--train-samples", "8192")}  # rows to train on, where a task has many


def main() -> None:
    """Makes what is missing, and writes what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--models", "--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--grids", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=1, help="at one time, the same number for every sweep")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    studies = list(product(arguments.grids, arguments.tasks))
    parts = max(1, arguments.processes // len(studies))
    shares = [
        tuple(sweep_words(arguments, task, grid, f"{part}/{parts}"))
        for part, (grid, task) in product(range(1, parts + 1), studies)
    ]
    with ThreadPoolExecutor(arguments.processes) as pool:
        list(pool.map(run, shares))
    write_results([arguments.work / f"{task}-{grid}" for task in TASKS for grid in GRIDS], arguments.output)


def sweep_words(arguments: argparse.Namespace, task: str, grid: str, shard: str) -> Iterator[str]:
    """The command line of a share of a sweep."""
    data = arguments.data / task
    yield from (sys.executable, "-m", "fwsvd_export", "-q", "sweep", str(arguments.models / task), "--task", task)
    yield from ("--data", str(data_file(data, "train")), "--validation", str(data_file(data, "validation")))
    yield from ("-o", str(arguments.work / f"{task}-{grid}"), "--device", arguments.device)
    yield from ("--methods", ",".join(METHODS), *CALIBRATION, *RANKS_ALONE, *GRIDS[grid])
    if grid == "finetuned":
        yield from LONG.get(task, ())
    if shard != "1/1":
        yield from ("--shard", shard)


def data_file(folder: Path, part: str) -> Path:
    """The JSON lines of a part, compressed or not."""
    return next(folder / name for name in (f"{part}.jsonl", f"{part}.jsonl.gz") if (folder / name).is_file())


def run(words: Sequence[str]) -> None:
    """Runs one command; raises where it fails."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def write_results(folders: Sequence[Path], out: Path) -> None:
    """The rows of the sweeps that there are, without the ranks of their layers, the figure, the tables and the page."""
    made = [folder for folder in folders if (folder / "results.json").is_file()]
    (out / "study").mkdir(exist_ok=True)
    for folder in made:
        write_json(out / "study" / f"{folder.name}.json", published(read_result(folder)).to_json())
    studies, page = read_studies(out / "study"), out / "study.md"
    draw_study(studies, out / "study.png")
    page.write_text(filled(page.read_text(encoding="utf-8"), studies), encoding="utf-8")
    write_page(build_page(made), out / "study.html", overwrite=True)
    print(json.dumps({folder.name: len(read_result(folder).rows) for folder in made}))


def published(result: SweepResult) -> SweepResult:
    """A result without local folders, and without the ranks of a model's layers, which are all alike."""

    def row_of(row: SweepRow) -> SweepRow:
        against = None if row.difference is None else replace(row.difference, against=without_folders(result.model))
        return replace(row, ranks={}, difference=against)

    command = None if result.command is None else tuple(map(without_folders, result.command))
    model, rows = without_folders(result.model), tuple(map(row_of, result.rows))
    return replace(result, model=model, command=command, rows=rows)


if __name__ == "__main__":
    main()
