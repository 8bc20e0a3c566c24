"""Latency of a BERT-base of random weights, dense and compressed, under onnxruntime in float and int8.

    python scripts/bench_shapes.py [--ratios 0.25,0.1] [--threads 2] [--rounds 5]

Ranks are uniform (method svd). Prints, for every ratio, runtime and shape, the speed-up against the dense model under
the same runtime and its share of what the number of operations would allow; one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification

from fwsvd_export import compress
from fwsvd_export.benchmark.latency import LatencyPlan
from fwsvd_export.workflows.bench import BenchRequest, run_bench
from fwsvd_export.workflows.source import Source

RUNTIMES = ("onnxruntime", "onnxruntime-int8")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", default="0.25,0.1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    dense = BertForSequenceClassification(BertConfig()).eval()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"dense": Path(scratch) / "dense"}
        dense.save_pretrained(folders["dense"])
        for ratio in arguments.ratios.split(","):
            folders[ratio] = Path(scratch) / ratio
            compress(dense, method="svd", ratio=float(ratio)).save_pretrained(folders[ratio])
        sources = tuple(Source(str(folder), trust_remote_code=True, device="cpu") for folder in folders.values())
        plan = LatencyPlan(threads=arguments.threads, rounds=arguments.rounds)
        result = run_bench(BenchRequest(sources, RUNTIMES, plan)).to_json()
    for name, model in zip(folders, result["models"], strict=True):
        model["model"] = name
        for row in model["latency"]:
            row["share"] = row["speedup"] / row["flops_ratio"]
            shape = f"{row['batch_size']} x {row['length']}"
            print(
                f"{name:6} {row['runtime']:17} {shape:8} {row['median_ms']:8.1f} ms, x{row['speedup']:.2f} of "
                f"x{row['flops_ratio']:.2f}, share {row['share']:.2f}",
                file=sys.stderr,
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
