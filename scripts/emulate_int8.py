"""The task's metric in float and int8 on this processor and on emulated ones, which multiply bytes in another way.

    python scripts/emulate_int8.py MODEL... --task sst2 --data validation.jsonl [--rows 100] [--cpu Haswell] [--float]

Every MODEL, dense or compressed, has onnx/ as ``onnx --int8`` writes it; beside it the same file with plain scales is
run, as onnxruntime's own tool writes it, and with ``--float`` model.onnx in the emulator too. Haswell
has AVX2 and no VNNI: sums of two products of bytes are cut off at 16 bits. Nehalem (``--cpu Haswell,Nehalem``) has
neither: onnxruntime adds in 32 bits there, like processors with VNNI, which QEMU does not emulate.
"exact" is this processor with sums in 32 bits (``session.x64quantprecision``). All machines run the same rows in the
same batches, so differences are paired; their sampling error is that of 200 bootstrap samples of the rows. For tasks
that label or score whole texts. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8_files import FILES, Int8Model, read_files
from replayed import Replayed

from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import Task, task_named
from fwsvd_export.evaluation.metrics import evaluate_model
from fwsvd_export.storage.file_names import ONNX_FILE
from fwsvd_export.storage.schema import to_builtins

CHILD = Path(__file__).with_name("run_onnx_file.py")
EXACT, HERE = "exact", "here"
SAMPLES = 200  # of the bootstrap
VNNI_FLAGS = {"avx512_vnni", "avx_vnni"}  # as Linux names them


@dataclass(frozen=True)
class Machine:
    """A processor: the words before the program, and the options behind it."""

    name: str
    before: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def run(self, model: Path, inputs: Path) -> np.ndarray:
        """The first output of an ONNX file for all rows of stored inputs."""
        with tempfile.TemporaryDirectory() as scratch:
            outputs = Path(scratch) / "outputs.npz"
            words = [*self.before, sys.executable, str(CHILD), str(model), str(inputs), str(outputs), *self.options]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode != 0:  # without the emulator's warnings about what it does not emulate
                lines = [line for line in done.stderr.splitlines() if "TCG doesn't support" not in line]
                sys.exit("\n".join([f"{model.name} cannot be run on {self.name}:", *lines]))
            with np.load(outputs) as arrays:
                return np.concatenate([arrays[name] for name in sorted(arrays.files, key=int)])


def main() -> None:
    """Runs every file of every model on every machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--emulator", default="qemu-x86_64-static")
    parser.add_argument("--cpu", default="Haswell", help="Models of the emulator, with commas; '' for none.")
    parser.add_argument("--float", action="store_true", help="Emulate model.onnx too.")
    arguments = parser.parse_args()
    machines = [Machine(EXACT, options=("--exact",)), Machine(HERE), *emulated(arguments.emulator, arguments.cpu)]
    request = DataRequest(task_named(arguments.task), file=Path(arguments.data), max_samples=arguments.rows)
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for place, name in enumerate(arguments.models):
            model = read_files(name, Path(scratch) / str(place))
            results.append({"model": name, **measured(model, request, machines, arguments.float)})
    about = {"task": request.task.name, "data": request.name, "this_processor_has_vnni": has_vnni()}
    version = version_of(arguments.emulator) if arguments.cpu else None
    print(json.dumps({**about, "emulator": version, "models": results}))


def emulated(emulator: str, processors: str) -> list[Machine]:
    """A machine for every processor named; ends the program when the emulator is not there."""
    if not processors:
        return []
    if shutil.which(emulator) is None:
        sys.exit(
            f"{emulator} is not installed; install it (Debian, Ubuntu: apt-get install qemu-user-static), or name "
            "another with --emulator"
        )
    return [Machine(name, (emulator, "-cpu", name)) for name in processors.split(",")]


def version_of(emulator: str) -> str:
    """The first line that an emulator says of itself."""
    said = subprocess.run([emulator, "--version"], check=True, capture_output=True, text=True).stdout
    return said.partition("\n")[0]


def has_vnni() -> bool:
    """Whether this processor adds four products of bytes in 32 bits."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return any(VNNI_FLAGS & set(line.split()) for line in lines if line.startswith("flags"))


def measured(model: Int8Model, request: DataRequest, machines: Sequence[Machine], with_float: bool) -> dict[str, Any]:
    """Metrics by machine and file, and how far each is from the exact one with its sampling error."""
    encoder = model.checkpoint.encoder
    batches = list(load_batches(request, load_tokenizer(model.checkpoint), encoder))
    labels = torch.cat([batch["labels"] for batch in batches])
    inputs = model.folder / "inputs.npz"
    arrays = {f"{place}.{name}": batch[name].numpy() for place, batch in enumerate(batches) for name in encoder.inputs}
    np.savez(inputs, **arrays)
    outputs: dict[tuple[str, str], np.ndarray] = {}
    rows = []
    for kind, file in FILES.items():
        for machine in machines:
            if machine.before and file == ONNX_FILE and not with_float:
                continue
            found = outputs[machine.name, kind] = machine.run(model.folder / file, inputs)
            scored = compared(found, outputs[EXACT, kind], labels, encoder.model.config, request.task)
            rows.append({"file": kind, "machine": machine.name, **scored})
            print(f"{model.checkpoint.name}: {rows[-1]}", file=sys.stderr)
    return {"examples": len(labels), "saturation": to_builtins(model.saturation), "measured": rows}


def compared(found: np.ndarray, exact: np.ndarray, labels: torch.Tensor, config: Any, task: Task) -> dict[str, Any]:
    """A metric, its difference from that of the exact outputs, and the standard error of the difference."""

    def score(outputs: np.ndarray, rows: torch.Tensor) -> float:
        model = Replayed(torch.from_numpy(outputs), config)
        return evaluate_model(model, [{"rows": rows, "labels": labels[rows]}], task).value

    everything = torch.arange(len(labels))
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(len(labels), everything.shape, generator=generator) for _ in range(SAMPLES)]
    differences = [score(found, rows) - score(exact, rows) for rows in draws]
    value = score(found, everything)
    return {
        "value": value,
        "difference": value - score(exact, everything),
        "standard_error": float(np.std(differences)),
        "largest_output_difference": float(np.abs(found - exact).max()),
    }


if __name__ == "__main__":
    main()
