"""Peak memory of ``fwsvd-export compress --method kfac`` on a BERT-base of random weights.

    python scripts/bench_memory.py TOKENIZER_FOLDER --task stsb --data train.jsonl

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

from fwsvd_export.checkpoint import total_parameters
from fwsvd_export.families import compressible_layers

FLOAT_BYTES = 4


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--labels", type=int, default=2, help="Outputs of the model's head.")
    parser.add_argument("--max-samples", default="256")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bert-base"
        model = BertForSequenceClassification(BertConfig(num_labels=arguments.labels))
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(arguments.tokenizer).save_pretrained(folder)
        layers = compressible_layers(model)
        inputs = {layer.reads: layer.in_features for layer in layers}
        floats = sum(size**2 for size in inputs.values()) + sum(layer.out_features**2 for layer in layers)
        model_bytes, statistics_bytes = FLOAT_BYTES * total_parameters(model), FLOAT_BYTES * floats
        del model
        command = ["compress", str(folder), str(Path(scratch) / "small"), "--method", "kfac", "--ratio", "0.25"]
        data = ["--task", arguments.task, "--data", arguments.data, "--max-samples", arguments.max_samples]
        subprocess.run([sys.executable, "-m", "fwsvd_export", "-q", *command, *data], check=True, stdout=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # Linux counts in KiB
    sizes = {"peak": peak, "model": model_bytes, "statistics": statistics_bytes}
    sizes["above_model_and_statistics"] = peak - model_bytes - statistics_bytes
    print(json.dumps({f"{name}_gb": round(value / 1e9, 2) for name, value in sizes.items()}))


if __name__ == "__main__":
    main()
