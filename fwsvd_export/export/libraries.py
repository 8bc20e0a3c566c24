"""The libraries of the ``onnx`` extra, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fwsvd_export.errors import MissingExtraError

NEEDED = ("onnx", "onnxruntime")


def required(name: str) -> Any:
    """The module of a dotted name.

    Raises:
        MissingExtraError: it, or a library it needs, is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "onnx") from error


def check_libraries() -> None:
    """Fails before any long work when the extra is not installed; raises as ``required``."""
    for name in NEEDED:
        required(name)
