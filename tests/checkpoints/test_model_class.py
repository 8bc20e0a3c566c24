"""Whose code loads a compressed checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.architectures.registry import BERT
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.model_class import is_own_code
from fwsvd_export.compression.compress import compress
from fwsvd_export.errors import CheckpointError


def test_only_this_installations_code_files_are_its_own(tiny_model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    compress(tiny_model, method="svd", rank=4).save_pretrained(folder)
    assert is_own_code(folder, BERT)
    assert load_checkpoint(str(folder)).compressed
    for name in BERT.code_files:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b"\n")
        assert not is_own_code(folder, BERT)
        with pytest.raises(CheckpointError, match="--trust-remote-code"):
            load_checkpoint(str(folder))
        (folder / name).unlink()
        assert is_own_code(folder, BERT), "what is not there cannot run"
        (folder / name).write_bytes(content)
    for name in BERT.code_files:
        (folder / name).unlink()
    assert type(load_checkpoint(str(folder)).model).__module__.startswith("fwsvd_export.modeling.")
