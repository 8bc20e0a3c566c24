"""An exported folder under one of the runtimes that read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.runtimes import OPENVINO, RUNTIME_FILES
from fwsvd_export.benchmark.turns import Runner
from fwsvd_export.export.libraries import required
from fwsvd_export.export.openvino_model import OpenvinoModel, check_precision
from fwsvd_export.export.session import ExportedModel, OnnxModel


def check_runtimes(runtimes: Iterable[str]) -> None:
    """Refuses, before any long work, runtimes that this processor does not have.

    Raises:
        ExportError: one computes in a type that it lacks.
        MissingExtraError: OpenVINO is asked for and is not installed.
    """
    for runtime in runtimes:
        if runtime in OPENVINO:
            check_precision(required("openvino").Core(), OPENVINO[runtime])


def run_under(runtime: str, folder: Path, threads: int | None = None) -> ExportedModel:
    """The model of a folder, called like the torch model that it was made from.

    Args:
        runtime: a key of ``RUNTIME_FILES``.
        folder: with its file and config.json.
        threads: for one operator; None leaves it to the runtime.

    Raises:
        ExportError: the file cannot be read, or the processor does not have what the runtime computes in.
        MissingExtraError: the runtime is not installed.
    """
    file = RUNTIME_FILES[runtime]
    if runtime in OPENVINO:
        return OpenvinoModel(folder, file, OPENVINO[runtime], threads)
    return OnnxModel(folder, file, threads)


def bytes_under(runtime: str, folder: Path) -> int:
    """Size of what a runtime reads of a folder: one file, and of OpenVINO's format two."""
    file = folder / RUNTIME_FILES[runtime]
    return sum(part.stat().st_size for part in {file, file.with_suffix(".bin")} if part.is_file())


def runner_of(model: Any, inputs: Iterable[str]) -> Runner:
    """A function of a batch that runs a model on those of its inputs that the batch has."""
    return lambda batch: model(**{name: batch[name] for name in inputs if name in batch})
