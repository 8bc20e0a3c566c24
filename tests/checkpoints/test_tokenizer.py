"""A checkpoint without a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.errors import CheckpointError


@pytest.fixture
def saved(tiny_model: Any, tmp_path: Path) -> Callable[..., Path]:
    """A function that saves the two-class model in a dtype: saved("name", torch.float16)."""

    def save(name: str, dtype: torch.dtype = torch.float32, **options: Any) -> Path:
        tiny_model.to(dtype).save_pretrained(tmp_path / name, **options)
        return tmp_path / name

    return save


def test_a_folder_without_a_tokenizer_says_so(saved: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="model has no tokenizer with a vocabulary"):
        load_tokenizer(load_checkpoint(str(saved("model"))))
