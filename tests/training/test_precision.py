"""A precision that a device does not have is refused, and "auto" never asks for one."""

from __future__ import annotations

import pytest
import torch

from fwsvd_export.errors import TrainingError
from fwsvd_export.training.precision import precision_of


@pytest.mark.parametrize(
    ("asked", "device", "has_bfloat16", "found"),
    [
        ("auto", "cpu", False, "float32"),
        ("auto", "cuda", True, "bfloat16"),
        ("auto", "cuda", False, "float32"),
        ("float16", "cuda", False, "float16"),
        ("bfloat16", "cpu", False, "bfloat16"),
        ("float32", "cuda", True, "float32"),
    ],
)
def test_what_is_used(asked: str, device: str, has_bfloat16: bool, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert precision_of(asked, torch.device(device)) == found


@pytest.mark.parametrize(
    ("asked", "device", "said"),
    [
        ("float16", "cpu", r"precision float16: device cpu does not train in it, only a GPU does \(--device cuda\)"),
        ("bfloat16", "cuda", "precision bfloat16: this cuda does not have it; use float32 or float16"),
    ],
)
def test_what_is_missing_is_named(asked: str, device: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    with pytest.raises(TrainingError, match=said):
        precision_of(asked, torch.device(device))
