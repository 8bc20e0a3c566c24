"""An ONNX file names the checkpoint it was made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import open_exported
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.place import Place
from fwsvd_export.storage.file_names import ONNX_FILE
from tests.export.stamp import IDENTITY


def test_an_identity_is_read_back_from_the_file(place: Path) -> None:
    exported = open_exported(Place(place, "small"), ONNX_FILE, replace(IDENTITY, model="renamed", file_sha256=""))
    assert Identity.read(exported.metadata) == IDENTITY


@pytest.mark.parametrize("name", ["class_name", "weights_sha256", "settings"])
def test_another_checkpoint_is_refused(name: str, place: Path) -> None:
    with pytest.raises(ExportError, match=r"was made from another checkpoint, small with weights aaaa.* --overwrite"):
        open_exported(Place(place, "mine"), ONNX_FILE, replace(IDENTITY, **{name: "c" * 64}))


def test_the_identity_of_a_checkpoint_names_its_file_and_what_it_computes(tiny_folder: Path) -> None:
    identity = Identity.of(load_checkpoint(str(tiny_folder)))
    assert (identity.model, identity.class_name) == (tiny_folder.name, "BertForSequenceClassification")
    assert len(identity.weights_sha256) == len(identity.file_sha256) == 64
    assert json.loads(identity.settings)["num_attention_heads"] == 4
