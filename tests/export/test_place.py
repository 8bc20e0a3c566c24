"""Which command makes an ONNX file that is missing or cannot be opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import open_exported, plain_settings
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.place import Place
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER

IDENTITY = Identity("small", "LowRankBertForSequenceClassification", "a" * 64, "b" * 64, "{}")


@pytest.fixture(scope="module")
def place(graph: Any, small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with onnx/, stamped with IDENTITY. Do not write into it."""
    parent = tmp_path_factory.mktemp("place")
    folder = parent / ONNX_FOLDER
    folder.mkdir()
    stamped = onnx.ModelProto()
    stamped.CopyFrom(graph)
    IDENTITY.stamp(stamped)
    onnx.save(stamped, folder / ONNX_FILE)
    (folder / "config.json").write_text(json.dumps(plain_settings(encoder_of(small_model))))
    return parent


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
