"""What runs a model: torch, or onnxruntime or OpenVINO on an exported file. Readable without any of them."""

from __future__ import annotations

from fwsvd_export.storage.file_names import INT8_FILE, ONNX_FILE, OPENVINO_INT8_FILE

TORCH = "torch"
# Runtime -> the type that OpenVINO computes in; "int8" where the file says so, all else in bfloat16 if there is any
OPENVINO = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-int8": "int8"}
CALIBRATED = "openvino-int8"  # needs text, for the ranges of activations
# Runtime -> the file in onnx/ that it runs
RUNTIME_FILES = {
    "onnxruntime": ONNX_FILE,
    "onnxruntime-int8": INT8_FILE,
    **dict.fromkeys(OPENVINO, ONNX_FILE),
    CALIBRATED: OPENVINO_INT8_FILE,
}
RUNTIMES = (TORCH, *RUNTIME_FILES)
USUAL_RUNTIMES = tuple(name for name in RUNTIMES if name not in OPENVINO)
"""Those that are measured where none is named."""


def libraries_of(runtimes: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that run some runtimes, beside torch.

    Example:
        >>> libraries_of(("torch", "onnxruntime-int8", "openvino"))
        ('onnxruntime', 'openvino')
    """
    exported = [name for name in runtimes if name != TORCH]
    return tuple(dict.fromkeys("openvino" if name in OPENVINO else "onnxruntime" for name in exported))
