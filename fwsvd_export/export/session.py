"""An ONNX folder as a model: called like the torch model, run by onnxruntime."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.checkpoints.settings import check_settings, read_settings
from fwsvd_export.errors import ExportError, message_of
from fwsvd_export.export.libraries import required

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ERRORS_ONLY = 3  # onnxruntime's log level
_NEWER = re.compile(r"model IR version: \d+|Opset \d+(?= is under development)")


class ExportedModel(ABC):
    """What runs an ONNX file on the CPU, called like the torch model that the file was made from.

    Args:
        folder: with the file's config.json.
        inputs: of the file, by name.
        outputs: likewise, in order.

    Attributes:
        config: the plain configuration beside the file.
        device: of the tensors that come out.
        metadata: the file's own, by key.
    """

    device = torch.device("cpu")
    metadata: dict[str, str]

    def __init__(self, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        from transformers import AutoConfig

        self._inputs, self._outputs = inputs, outputs
        check_settings(read_settings(folder), str(folder))
        self.config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)

    def __call__(self, input_ids: Tensor, **tensors: Tensor) -> Any:
        """The outputs by name, as attributes; without them the mask is all ones and the rest is all zero."""
        zeros = torch.zeros_like(input_ids)
        inputs = {**dict.fromkeys(self._inputs, zeros), MASK: zeros + 1, IDS: input_ids, **tensors}
        arrays = {name: tensor.to(self.device, torch.int64).numpy() for name, tensor in inputs.items()}
        try:
            found = self._run(arrays)
        except Exception as error:  # runtimes raise a class of their own per kind of damage
            raise ExportError(
                f"the ONNX model fails on its input ({message_of(error)}); export again with fwsvd-export onnx"
            ) from error
        return SimpleNamespace(
            **{name: torch.from_numpy(array) for name, array in zip(self._outputs, found, strict=True)}
        )

    @abstractmethod
    def _run(self, arrays: dict[str, NDArray[np.int64]]) -> Sequence[NDArray[np.float32]]:
        """The outputs of some inputs."""


class OnnxModel(ExportedModel):
    """One onnxruntime session on the CPU.

    Only one should live at a time where time is measured: two sessions' waiting threads slow each other down.

    Args:
        folder: with the ONNX file and its config.json.
        file_name: of the ONNX file.
        threads: for one operator; None leaves it to onnxruntime.

    Raises:
        ExportError: the file cannot be read.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path, file_name: str, threads: int | None = None) -> None:
        runtime = required("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # A plan of the memory is kept for every shape that ever came in, and saves no time (docs/log.md)
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(
                folder / file_name,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # what failed would be reported on stdout, and tried again in the same way
            )
            # Texts of the file that are no UTF-8 are noticed only here
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            names = [
                [value.name for value in part] for part in (self._session.get_inputs(), self._session.get_outputs())
            ]
            super().__init__(folder, *names)
        except Exception as error:  # onnxruntime raises a class of its own per kind of damage
            raise ExportError(_reason(folder / file_name, error, runtime.__version__)) from error

    def _run(self, arrays: dict[str, NDArray[np.int64]]) -> Sequence[NDArray[np.float32]]:
        found: Sequence[NDArray[np.float32]] = self._session.run(self._outputs, arrays)
        return found


def _reason(file: Path, error: Exception, version: str) -> str:
    """Why a file cannot be run; onnxruntime's own words begin with its source lines."""
    newer = _NEWER.search(str(error))
    if newer:
        return (
            f"{file} is newer than onnxruntime {version} can read ({newer[0]}); update onnxruntime, or export again "
            "with fwsvd-export onnx"
        )
    return f"{file} cannot be read ({message_of(error)}); export again with fwsvd-export onnx"
