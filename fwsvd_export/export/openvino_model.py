"""An ONNX folder run by OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fwsvd_export.errors import ExportError, message_of
from fwsvd_export.export.libraries import required
from fwsvd_export.export.openvino_int8 import metadata_of
from fwsvd_export.export.session import ExportedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OpenvinoModel(ExportedModel):
    """One model that OpenVINO compiled for the CPU, for the least latency of one request at a time.

    Args:
        folder: with the ONNX file and its config.json.
        file_name: of the ONNX file in float32, or of OpenVINO's own in 8 bits.
        precision: "f32", "bf16" for products in bfloat16, or "int8" for a file in 8 bits, whose other parts run in
            bfloat16 where the processor has it.
        threads: for one request; None leaves it to OpenVINO.

    Raises:
        ExportError: the file cannot be read, or the processor does not have the precision.
        MissingExtraError: openvino is not installed.
    """

    def __init__(self, folder: Path, file_name: str, precision: str = "f32", threads: int | None = None) -> None:
        core = required("openvino").Core()
        check_precision(core, precision)
        if precision == "int8":
            precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model = core.read_model(folder / file_name)
            self.metadata = metadata_of(model)
            self._compiled = core.compile_model(model, "CPU", settings)
            ports = self._compiled.inputs, self._compiled.outputs
            super().__init__(folder, *([port.get_any_name() for port in part] for part in ports))
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise ExportError(
                f"OpenVINO cannot read {folder / file_name} ({message_of(error)}); export again with fwsvd-export onnx"
            ) from error
        self._request = self._compiled.create_infer_request()

    def _run(self, arrays: dict[str, NDArray[np.int64]]) -> Sequence[NDArray[np.float32]]:
        found = self._request.infer({name: arrays[name] for name in self._inputs})
        return [found[port] for port in self._compiled.outputs]


def check_precision(core: object, precision: str) -> None:
    """Refuses a precision that the processor does not have: OpenVINO would compute in float32 under its name.

    Args:
        core: an ``openvino.Core``.
        precision: "f32", "bf16" or "int8", which every processor has.

    Raises:
        ExportError: it does not have it.
    """
    known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # type: ignore[attr-defined]
    if precision == "bf16" and "BF16" not in known:
        raise ExportError(
            f"this processor computes in {', '.join(known)} and not in bfloat16 (AVX-512 BF16 or AMX), so that "
            "OpenVINO would run float32 under that name; use --runtime openvino"
        )
