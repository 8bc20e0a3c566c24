"""Loads compressed checkpoints and their ONNX files in an environment without this package, and compares predictions.

    python scripts/load_families.py JOBS

JOBS is a JSON file that scripts/check_families.py writes: per class a ``folder`` with its checkpoint and the ``dense``
one, ``inputs`` and ``expected`` predictions in a safetensors file, transformers' ``auto_class``, the ``outputs`` that
are compared, and the folder of an ``onnx`` export and optimum's ``ort_class`` (null where there is none). Prints one
JSON object: per class the largest difference of each way from what was expected, or the sentence with which it failed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor


def main() -> None:
    """Loads everything in every way."""
    if find_spec("fwsvd_export"):
        sys.exit("fwsvd_export can be imported here: what is loaded must not need it")
    jobs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps({name: ways_of(job) for name, job in jobs.items()}))


def ways_of(job: dict[str, Any]) -> dict[str, Any]:
    """The ways in which one checkpoint is loaded, and what came of each."""
    found = {"dense": outcome(from_dense, job), "torch": outcome(from_checkpoint, job)}
    if job["onnx"]:
        found["onnx"] = outcome(from_onnx, job)
        if job["ort_class"] and find_spec("optimum"):
            found["optimum"] = outcome(from_optimum, job)
    return found


def outcome(way: Callable[[dict[str, Any], dict[str, Tensor]], dict[str, Tensor]], job: dict[str, Any]) -> Any:
    """The largest difference over what a way returns, at all tokens; of a failure its first line."""
    stored = load_file(job["tensors"])
    inputs = {name: stored[f"inputs.{name}"] for name in job["inputs"]}
    try:
        predicted = way(job, inputs)
    except Exception as error:  # whatever a version of a library does is a cell of the table
        return f"{type(error).__name__}: {error}".splitlines()[0]
    mask = inputs["attention_mask"].bool()
    worst = 0.0
    for name, value in predicted.items():
        difference = (value - stored[f"expected.{name}"]).abs()
        if difference.shape[: mask.ndim] == mask.shape:
            difference = difference[mask]
        worst = max(worst, difference.max().item())
    return worst


def from_dense(job: dict[str, Any], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The dense model, which some versions of transformers lack or cannot run; what it predicts is not compared."""
    with torch.no_grad():
        getattr(transformers, job["auto_class"]).from_pretrained(job["dense"]).eval()(**inputs)
    return {}


def from_checkpoint(job: dict[str, Any], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """With transformers and the code in the folder."""
    auto_class = getattr(transformers, job["auto_class"])
    model = auto_class.from_pretrained(job["folder"], trust_remote_code=True).eval()
    with torch.no_grad():
        found = model(**inputs)
    return {name: found[name] for name in job["outputs"]}


def from_onnx(job: dict[str, Any], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """With onnxruntime alone."""
    session = onnxruntime.InferenceSession(f"{job['onnx']}/model.onnx", providers=["CPUExecutionProvider"])
    wanted = {node.name for node in session.get_inputs()}
    arrays = session.run(job["outputs"], {name: value.numpy() for name, value in inputs.items() if name in wanted})
    return {name: torch.from_numpy(array) for name, array in zip(job["outputs"], arrays, strict=True)}


def from_optimum(job: dict[str, Any], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """With optimum, whose readers return no more than their task needs: the first output, for some another."""
    reader = getattr(import_module("optimum.onnxruntime"), job["ort_class"])
    found = reader.from_pretrained(job["onnx"])(**inputs)
    return {name: found[name] for name in job["outputs"] if name == job["outputs"][0] or name in found}


if __name__ == "__main__":
    main()
