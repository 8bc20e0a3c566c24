"""Runs an ONNX file on stored inputs; needs onnxruntime and numpy alone, so that it starts soon under an emulator.

    python scripts/run_onnx_file.py MODEL.onnx INPUTS.npz OUTPUTS.npz [--exact]

INPUTS holds arrays called BATCH.NAME, OUTPUTS gets the first output of each batch as BATCH. With ``--exact`` int8
products are added in 32 bits whatever the processor (onnxruntime's ``session.x64quantprecision``, which is slower).
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import onnxruntime


def main() -> None:
    """Runs the file."""
    model, given, written, *flags = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if flags == ["--exact"]:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batches: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    with np.load(given) as arrays:
        for name in arrays.files:
            batch, _, part = name.partition(".")
            batches[batch][part] = arrays[name]
    np.savez(written, **{batch: session.run(None, inputs)[0] for batch, inputs in batches.items()})


if __name__ == "__main__":
    main()
