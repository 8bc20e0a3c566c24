"""What the tests of the Python API share: a small batch, and the sentence that a wrong call ends in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import fwsvd_export as fe

Batch = dict[str, Any]
Call = Callable[..., object]


def batch(**changes: Any) -> Batch:
    """Three sentences of five tokens with a class each; None takes a key out."""
    whole = {
        "input_ids": torch.tensor([[2, 7, 9, 11, 3], [2, 5, 6, 3, 0], [2, 8, 8, 20, 3]]),
        "attention_mask": torch.tensor([[1] * 5, [1, 1, 1, 1, 0], [1] * 5]),
        "labels": torch.tensor([0, 1, 1]),
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def sentence_of(call: Callable[[], object]) -> str:
    """The one line of the error that a call ends in."""
    with pytest.raises(fe.FwsvdExportError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text
