"""Peak memory and seconds of ``fwsvd-export compress`` on a BERT-base of random weights.

    python scripts/bench_memory.py TOKENIZER_FOLDER --task stsb --data train.jsonl [--method als]

The command runs in a process of its own; its peak resident memory is set against the model's and the statistics' size.
Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.records import LayerSpec
from fwsvd_export.solvers.table import SOLVERS

FLOAT_BYTES = 4


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--labels", type=int, default=2, help="Outputs of the model's head.")
    parser.add_argument("--max-samples", default="256")
    parser.add_argument("--method", choices=SOLVERS, default="kfac")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bert-base"
        model = BertForSequenceClassification(BertConfig(num_labels=arguments.labels))
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(arguments.tokenizer).save_pretrained(folder)
        layers = encoder_of(model).layers
        model_bytes = FLOAT_BYTES * total_parameters(model)
        statistics_bytes = FLOAT_BYTES * statistics_floats(layers, SOLVERS[arguments.method].needs)
        del model
        command = [
            "compress",
            str(folder),
            str(Path(scratch) / "small"),
            "--method",
            arguments.method,
            "--ratio",
            "0.25",
        ]
        data = ["--task", arguments.task, "--data", arguments.data, "--max-samples", arguments.max_samples]
        subprocess.run([sys.executable, "-m", "fwsvd_export", "-q", *command, *data], check=True, stdout=sys.stderr)
        seconds = read_compression(Path(scratch) / "small").seconds
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # Linux counts in KiB
    sizes = {"peak": peak, "model": model_bytes, "statistics": statistics_bytes}
    sizes["above_model_and_statistics"] = peak - model_bytes - statistics_bytes
    gigabytes = {f"{name}_gb": round(value / 1e9, 2) for name, value in sizes.items()}
    print(json.dumps({"method": arguments.method, **gigabytes, "seconds": seconds}))


def statistics_floats(layers: list[LayerSpec], collection: str | None) -> int:
    """Numbers in the statistics that a method needs."""
    if collection == "element":
        return sum(layer.weights for layer in layers)
    if collection == "kfac":
        inputs = {layer.reads: layer.in_features for layer in layers}
        return sum(size**2 for size in inputs.values()) + sum(layer.out_features**2 for layer in layers)
    return 0  # row weights are a vector per layer


if __name__ == "__main__":
    main()
