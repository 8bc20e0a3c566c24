"""A precision that a device does not have is refused, and "auto" never asks for one."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress

import pytest
import torch

from fwsvd_export.errors import TrainingError
from fwsvd_export.training.precision import check_device, only_precision, precision_of


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


@pytest.mark.parametrize(("device", "allowed"), [("cpu", True), ("cuda", True), ("cuda:0", True), ("cuda:1", False)])
def test_training_is_on_the_first_gpu_that_a_process_sees(device: str, allowed: bool) -> None:
    said = r"device cuda:1: training runs on the first GPU .*; give --device cuda, with .* CUDA_VISIBLE_DEVICES=1 set"
    with nullcontext() if allowed else pytest.raises(TrainingError, match=said):
        check_device(torch.device(device))


@pytest.mark.parametrize("before", [None, "bf16"])
def test_accelerates_own_precision_does_not_count_and_is_put_back(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if before is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", before)
    with suppress(ZeroDivisionError), only_precision("float32"):
        assert os.environ["ACCELERATE_MIXED_PRECISION"] == "no"
        raise ZeroDivisionError
    assert os.environ.get("ACCELERATE_MIXED_PRECISION") == before
