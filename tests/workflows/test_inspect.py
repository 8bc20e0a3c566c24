"""What a checkpoint is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export import compress
from fwsvd_export.workflows.inspect import inspect_checkpoint


def test_a_dense_checkpoint_has_no_ranks_and_no_record(tiny_folder: Path, tiny_model: Any) -> None:
    found = inspect_checkpoint(str(tiny_folder))
    assert (found["compressed"], found["compression"], found["since"]) == (False, None, [])
    assert found["parameters"]["total"] == sum(parameter.numel() for parameter in tiny_model.parameters())
    assert found["parameters"]["linear"] == found["parameters"]["linear_dense"]
    assert {layer["rank"] for layer in found["layers"]} == {None}


def test_a_compressed_checkpoint_has_ranks_and_the_weights_that_they_leave(tiny_model: Any, tmp_path: Path) -> None:
    compress(tiny_model, method="svd", rank=5).save_pretrained(tmp_path / "small")
    found = inspect_checkpoint(str(tmp_path / "small"))
    assert found["compressed"]
    assert found["compression"]["method"] == "svd"
    for layer in found["layers"]:
        assert layer["rank"] == 5
        assert layer["weights"] == 5 * sum(layer["shape"])
    assert found["parameters"]["linear"] == sum(layer["weights"] for layer in found["layers"])
    assert found["parameters"]["linear_dense"] > found["parameters"]["linear"]
