"""What collecting Fisher statistics costs, next to a plain forward and backward pass over the same batches.

    python scripts/bench_statistics.py MODEL --task sst2 --data train.jsonl

The variants take turns, a few batches each, in one run; each figure is a ratio of summed wall times, so that a noisy
machine disturbs all alike. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.records import StatisticsSource

CHUNK_BATCHES = 16  # collected in one go before the next variant has its turn
COLLECTIONS = {"kfac": ("kfac",), "kfac,row": ("kfac", "row"), "kfac,row,element": ("kfac", "row", "element")}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-samples", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    checkpoint = load_checkpoint(arguments.model)
    model = checkpoint.model
    request = DataRequest(
        task_named(arguments.task), arguments.data, max_samples=arguments.max_samples, batch_size=arguments.batch_size
    )
    batches = list(load_batches(request, load_tokenizer(checkpoint), checkpoint.encoder))
    chunks = [batches[start : start + CHUNK_BATCHES] for start in range(0, len(batches), CHUNK_BATCHES)]
    variants: dict[str, Callable[[list[Any]], None]] = {"plain": lambda chunk: plain_pass(model, chunk)}
    source = StatisticsSource(model_sha256="not stored")
    for name, collect in COLLECTIONS.items():
        variants[name] = lambda chunk, collect=collect: collect_statistics(model, chunk, collect=collect, source=source)
    for run in variants.values():  # warm-up
        run(chunks[0])
    seconds = dict.fromkeys(variants, 0.0)
    for _ in range(arguments.rounds):
        for chunk in chunks:
            for name, run in variants.items():
                start = time.perf_counter()
                run(chunk)
                seconds[name] += time.perf_counter() - start
    result = {
        "model": arguments.model,
        "examples": request.max_samples,
        "tokens": int(sum(batch["attention_mask"].sum() for batch in batches)),
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "ratio_to_plain": {name: round(value / seconds["plain"], 2) for name, value in seconds.items()},
    }
    print(json.dumps(result))


def plain_pass(model: Any, batches: list[Any]) -> None:
    """Forward and backward with the model's own loss, gradients of all parameters."""
    for batch in batches:
        model(**batch).loss.backward()
        model.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()
