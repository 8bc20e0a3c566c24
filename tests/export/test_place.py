"""Which command makes an ONNX file that is missing or cannot be opened."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import open_exported
from fwsvd_export.export.place import Place
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER
from tests.export.stamp import IDENTITY


def test_what_cannot_be_opened_says_which_command_makes_it(place: Path, graph: Any, tmp_path: Path) -> None:
    own = Place(tmp_path, str(tmp_path))
    with pytest.raises(ExportError, match=rf"has no onnx/model\.onnx; make it with fwsvd-export onnx {tmp_path}$"):
        open_exported(own, ONNX_FILE, IDENTITY)
    with pytest.raises(ExportError, match=rf"make it with fwsvd-export onnx mine -o {place} --int8 --overwrite$"):
        open_exported(Place(place, "mine"), "model_quantized.onnx", IDENTITY)
    folder = tmp_path / ONNX_FOLDER
    shutil.copytree(place / ONNX_FOLDER, folder)
    onnx.save(graph, folder / ONNX_FILE)
    with pytest.raises(ExportError, match="does not say which checkpoint it was made from"):
        open_exported(own, ONNX_FILE, IDENTITY)
    whole = (place / ONNX_FOLDER / ONNX_FILE).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no protobuf"):
        (folder / ONNX_FILE).write_bytes(damaged)
        with pytest.raises(ExportError, match=r"model\.onnx cannot be read \(.+\); export again"):
            open_exported(own, ONNX_FILE, IDENTITY)
