"""Small models saved in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def saved(tiny_model: Any, tmp_path: Path) -> Callable[..., Path]:
    """A function that saves the two-class model in a dtype: saved("name", torch.float16)."""

    def save(name: str, dtype: torch.dtype = torch.float32, **options: Any) -> Path:
        tiny_model.to(dtype).save_pretrained(tmp_path / name, **options)
        return tmp_path / name

    return save
