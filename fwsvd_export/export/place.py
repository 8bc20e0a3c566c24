"""Where an ``onnx`` folder is, or should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fwsvd_export.storage.file_names import INT8_FILE, ONNX_FOLDER, OPENVINO_INT8_FILE


@dataclass(frozen=True)
class Place:
    """A folder that has, or should have, ``onnx/``.

    Attributes:
        parent: the folder.
        source: what the user calls the checkpoint.
        fetched: whether it is the copy of a model on the Hub, into which nothing may be written.
    """

    parent: Path
    source: str
    fetched: bool = False

    def advice(self, file_name: str) -> str:
        """The command that makes an ONNX file here, or for a model on the Hub in a folder of the user's."""
        command = f"fwsvd-export onnx {self.source}"
        asked = {INT8_FILE: " --int8", OPENVINO_INT8_FILE: " --openvino-int8 --task TASK --calibration FILE"}
        int8 = asked.get(file_name, "")
        if self.fetched:
            return f"{command} -o DIR{int8} and run it with evaluate --onnx DIR"
        out = "" if Path(self.source) == self.parent else f" -o {self.parent}"
        again = " --overwrite" if (self.parent / ONNX_FOLDER).is_dir() else ""
        return f"{command}{out}{int8}{again}"
