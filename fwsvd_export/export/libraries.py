"""The libraries that write and run exported files, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fwsvd_export.errors import MissingExtraError

NEEDED = ("onnx", "onnxruntime")
_EXTRAS = {"openvino": "openvino", "nncf": "openvino"}  # library -> the extra that brings it, where it is not ``onnx``


def required(name: str) -> Any:
    """The module of a dotted name.

    Raises:
        MissingExtraError: it, or a library it needs, is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], _EXTRAS.get(name, "onnx")) from error


def check_libraries(*others: str) -> None:
    """Fails before any long work when the extra is not installed; raises as ``required``.

    Args:
        others: modules that are needed too.
    """
    for name in (*NEEDED, *others):
        required(name)
