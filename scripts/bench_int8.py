"""What int8 scales that no processor saturates cost: bytes, precision and latency against plain ones.

    python scripts/bench_int8.py MODEL... [--threads 2] [--rounds 20]

Every MODEL, dense or compressed, has onnx/ as ``onnx --int8`` writes it; the same file with plain scales (the largest
weight of an output becomes ±127) is what onnxruntime's own tool writes. Latencies of the two and of the float file are
interleaved. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from int8_files import FILES, Int8Model, read_files

from fwsvd_export.benchmark.latency import LatencyPlan, speedup, time_runners
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.schema import to_builtins

INT8, PLAIN = "int8", "int8, plain scales"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lengths", default="32,128", help="Of the sequences in tokens, with commas between.")
    arguments = parser.parse_args()
    lengths = tuple(map(int, arguments.lengths.split(",")))
    plan = LatencyPlan((1, 8), lengths, arguments.threads, arguments.rounds)
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for place, name in enumerate(arguments.models):
            model = read_files(name, Path(scratch) / str(place))
            results.append({"model": name, **measured(model, plan)})
            print(f"{name}: {json.dumps(results[-1])}", file=sys.stderr)
    print(json.dumps({"threads": plan.threads, "rounds": plan.rounds, "models": results}))


def measured(model: Int8Model, plan: LatencyPlan) -> dict[str, Any]:
    """Bytes and latency of every file, and errors of the matrices that are multiplied in 8 bits."""
    openers = {kind: partial(OnnxModel, model.folder, file, plan.threads) for kind, file in FILES.items()}
    callers = {kind: partial(_runner, opener) for kind, opener in openers.items()}
    encoder = model.checkpoint.encoder
    timings = time_runners(callers, plan, encoder.model.config.vocab_size, encoder.inputs)
    plain, ours = zip(*model.errors.values(), strict=True)
    ratios = [mine / its for mine, its in zip(ours, plain, strict=True)]
    return {
        "bytes": {kind: (model.folder / file).stat().st_size for kind, file in FILES.items()},
        "saturation": to_builtins(model.saturation),
        "relative_error": {
            PLAIN: [statistics.median(plain), max(plain)],
            INT8: [statistics.median(ours), max(ours)],
            "ratio": [min(ratios), statistics.median(ratios), max(ratios)],
        },
        "latency": [
            {
                "batch_size": own.batch_size,
                "length": own.length,
                **{f"{kind}, ms": timings[kind][place].median_ms for kind in FILES},
                "int8 against plain scales": speedup(own, timings[PLAIN][place]),
            }
            for place, own in enumerate(timings[INT8])
        ],
    }


def _runner(opener: Any) -> Any:
    """A session that is called with a batch."""
    session = opener()
    return lambda batch: session(**batch)


if __name__ == "__main__":
    main()
