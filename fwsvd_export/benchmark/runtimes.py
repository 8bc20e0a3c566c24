"""What runs a model: torch, or onnxruntime on one of the exported files. Readable without any of them."""

from __future__ import annotations

from fwsvd_export.storage.file_names import INT8_FILE, ONNX_FILE

TORCH = "torch"
RUNTIME_FILES = {"onnxruntime": ONNX_FILE, "onnxruntime-int8": INT8_FILE}  # runtime -> the file in onnx/ that it runs
RUNTIMES = (TORCH, *RUNTIME_FILES)
