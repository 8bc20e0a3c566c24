"""An exported folder under one of the runtimes that read it."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.benchmark.runtimes import OPENVINO, RUNTIME_FILES
from fwsvd_export.export.openvino_model import OpenvinoModel
from fwsvd_export.export.session import ExportedModel, OnnxModel


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
