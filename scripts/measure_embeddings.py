"""An embedding model at several sizes: what is left of pairs, of a search, and of its agreement with the dense model.

    python scripts/measure_embeddings.py --model MODEL --data DATA --work FOLDER [--refine-minutes 5]

MODEL is a sentence-transformers folder. DATA holds stsb (train.jsonl, whose sentences models are calibrated on and
whose labels are not read, and test.jsonl) and cranfield (corpus.jsonl, queries.jsonl, qrels.tsv). Every size is one
``fwsvd-export compress`` into FOLDER and three ``evaluate --against``; what is there is not made again. Writes
embedding_models.json and embedding_models.md into -o and prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.storage.json_files import write_json

NAME = "embedding_models"
STS = ("--task", "sts", "--batch-size", "32")
METRICS = {"sts": "stsb, cosine Spearman", "search": "Cranfield, nDCG@10", "agreement": "mean cosine with dense"}


def main() -> None:
    """Makes what is missing and writes what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--ratios", default="0.5,0.25,0.1")
    parser.add_argument("--rows", type=int, default=1024, help="Of two sentences each, to calibrate on.")
    parser.add_argument("--refine-minutes", type=float, help="Refine every size too, for so long.")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for ratio in arguments.ratios.split(","):
        for minutes in (None, arguments.refine_minutes)[: 2 if arguments.refine_minutes else 1]:
            small = arguments.work / (ratio if minutes is None else f"{ratio}-refined-{minutes:g}")
            if not small.is_dir():
                run(compress_words(arguments, small, ratio, minutes))
            rows.append({"ratio": float(ratio), "refine_minutes": minutes, **measured(arguments, small)})
            result = {"model": arguments.model.name, "sentences": 2 * arguments.rows, "rows": rows}
            write_json(arguments.output / f"{NAME}.json", result)  # what is done is kept when the next is interrupted
            (arguments.output / f"{NAME}.md").write_text(table(rows), encoding="utf-8")
    print(json.dumps(result))


def compress_words(arguments: argparse.Namespace, out: Path, ratio: str, minutes: float | None) -> list[str]:
    """The command that makes one size."""
    refine = [] if minutes is None else ["--refine", "model", "--refine-minutes", str(minutes)]
    data = (*STS, "--data", str(arguments.data / "stsb" / "train.jsonl"), "--max-samples", str(arguments.rows))
    return ["compress", str(arguments.model), str(out), *data, "--ratio", ratio, *refine]


def measured(arguments: argparse.Namespace, small: Path) -> dict[str, Any]:
    """Every metric of one size, with its difference from the dense model."""
    pairs, search = arguments.data / "stsb" / "test.jsonl", arguments.data / "cranfield"
    files = [word for name in ("queries", "corpus") for word in (f"--{name}", str(search / f"{name}.jsonl"))]
    texts = ("--task", "embedding", "--text-column", "sentence1", "--data", str(pairs))
    commands = {
        "sts": (*STS, "--data", str(pairs)),
        "search": ("--task", "retrieval", *files, "--qrels", str(search / "qrels.tsv"), "--max-length", "256"),
        "agreement": texts,
    }
    found = {}
    for name, words in commands.items():
        answer = run(["evaluate", str(small), "--against", str(arguments.model), *words, "--json"])
        evaluation = json.loads(answer)
        kept = ("metric", "value", "examples", "beside", "difference")
        found[name] = {field: evaluation[field] for field in kept}
    return found


def run(words: Sequence[str]) -> str:
    """What one command prints; raises where it fails."""
    command = [sys.executable, "-m", "fwsvd_export", "-q", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per size: value, share of the dense model's and interval of the difference."""
    lines = [f"| linear weights kept | refined | {' | '.join(METRICS.values())} |", "|---" * (2 + len(METRICS)) + "|"]
    for row in rows:
        refined = "no" if row["refine_minutes"] is None else f"{row['refine_minutes']:g} minutes"
        cells = []
        for name in METRICS:
            value, difference = row[name]["value"], row[name]["difference"]
            share, ends = 100 * value / difference["dense"], (difference["low"], difference["high"])
            cells.append(f"{value:.3f}, {share:.1f} % [{ends[0]:+.3f}, {ends[1]:+.3f}]")
        lines.append(f"| {100 * row['ratio']:g} % | {refined} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
