"""Headers of safetensors files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.tensors import StoredTensor, read_header


def test_every_tensor_is_told_with_type_and_shape(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    assert read_header(tmp_path / "x.safetensors") == {
        "a": StoredTensor("F32", (2, 3)),
        "b": StoredTensor("BF16", (4,)),
    }


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 40], ids=["no file", "empty", "no header"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors cannot be read") as caught:
        read_header(file)
    assert "\n" not in str(caught.value)
