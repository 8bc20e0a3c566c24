r"""Memory of an onnxruntime session that is given another shape with every call, as servers are.

    python scripts/bench_varying_shapes.py FILE.onnx [--shapes 2000] [--threads 1]

Every setting of the session runs in a process of its own, on the same random batches: onnxruntime's defaults, without
memory patterns (as ``evaluate`` and ``bench`` run), and without the arena too. Prints the resident memory after one
shape, after 100 and after all, what it grew by from 100 to all, and the seconds; one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS = {
    "defaults": {},
    "no memory patterns": {"enable_mem_pattern": False},
    "no memory patterns, no arena": {"enable_mem_pattern": False, "enable_cpu_mem_arena": False},
}
WARM = 100  # shapes after which memory should no longer grow
BATCHES, LENGTHS = (1, 16), (8, 128)


def main() -> None:
    """Measures every setting, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--shapes", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--setting", choices=SETTINGS, help="Only this one, in this process.")
    arguments = parser.parse_args()
    if arguments.shapes < WARM:
        parser.error(f"--shapes {arguments.shapes}: at least {WARM} are needed")
    if arguments.setting is not None:
        print(json.dumps(measured(arguments)))
        return
    found = {}
    for setting in SETTINGS:
        command = [sys.executable, __file__, *sys.argv[1:], "--setting", setting]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[setting] = json.loads(done.stdout)
        print(setting, done.stdout.strip(), file=sys.stderr)
    print(json.dumps({"file": arguments.file.name, "shapes": arguments.shapes, "settings": found}))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Resident megabytes of this process under one setting."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    for name, value in SETTINGS[arguments.setting].items():
        setattr(options, name, value)
    session = onnxruntime.InferenceSession(arguments.file, options, providers=["CPUExecutionProvider"])
    generator, resident, begin = random.Random(0), {}, time.perf_counter()
    for shape in range(1, arguments.shapes + 1):
        batch = np.ones((generator.randint(*BATCHES), generator.randint(*LENGTHS)), dtype=np.int64)
        session.run(None, {value.name: batch for value in session.get_inputs()})
        if shape in (1, WARM, arguments.shapes):
            resident[shape] = megabytes()
    seconds = round(time.perf_counter() - begin, 1)
    grown = round(resident[arguments.shapes] / resident[WARM], 3)
    return {"resident_mb": resident, "grown_by": grown, "seconds": seconds}


def megabytes() -> float:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1000, 1)


if __name__ == "__main__":
    main()
