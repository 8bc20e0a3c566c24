"""A checkpoint without a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.errors import CheckpointError


def test_a_folder_without_a_tokenizer_says_so(saved: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="model has no tokenizer with a vocabulary"):
        load_tokenizer(load_checkpoint(str(saved("model"))))
