"""Names of devices: what exists is found, what does not ends in one sentence; how work is divided on each type."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.errors import FwsvdExportError
from fwsvd_export.runtime.device import OTHER_DEVICE, PROFILES, check_float64, device_named, profile_of


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that gives this machine a number of GPUs, as far as torch says."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize(
    ("name", "count", "device"),
    [
        ("cpu", 0, "cpu"),
        ("cpu", 2, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cuda", 1, "cuda"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_devices_that_exist(name: str, count: int, device: str, gpus: Any) -> None:
    gpus(count)
    assert device_named(name) == torch.device(device)


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("cuda", 0, ["device cuda", "no CUDA device", "--device cpu"]),
        ("cuda:1", 0, ["device cuda:1", "no CUDA device", "--device cpu"]),
        ("cuda:2", 2, ["device cuda:2", "cuda:0, cuda:1", "--device cpu"]),
        ("mps", 2, ["device mps", "float64", "--device cpu"]),
        ("tpu", 2, ["device 'tpu'", "auto, cpu, cuda and cuda:N"]),
        ("", 2, ["device ''", "auto, cpu, cuda and cuda:N"]),
        ("cuda:", 2, ["device 'cuda:'", "cuda:N"]),
        ("cuda:-1", 2, ["device 'cuda:-1'", "cuda:N"]),
        ("cuda:one", 2, ["device 'cuda:one'", "cuda:N"]),
        ("cuda:" + "9" * 5000, 2, ["device 'cuda:999", "cuda:N"]),
        ("cpu:0", 2, ["device 'cpu:0'", "cuda:N"]),
    ],
)
def test_devices_that_do_not_exist_end_in_a_sentence(name: str, count: int, words: list[str], gpus: Any) -> None:
    gpus(count)
    with pytest.raises(FwsvdExportError) as caught:
        device_named(name)
    assert all(word in str(caught.value) for word in words)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps", "xpu", "meta"])
def test_every_type_of_device_has_a_profile(kind: str) -> None:
    profile = profile_of(torch.device(kind))
    assert profile == PROFILES.get(kind, OTHER_DEVICE)
    assert profile.stack_weights >= 1
    assert profile.stacks_at_once >= 1


def test_only_devices_with_double_precision_compress() -> None:
    for kind in ("cpu", "cuda", "xpu"):
        check_float64(torch.device(kind))
    with pytest.raises(FwsvdExportError, match="mps has no float64"):
        check_float64(torch.device("mps"))


def test_a_model_on_a_device_without_double_precision_is_refused(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "device", torch.device("mps"))
    with pytest.raises(FwsvdExportError, match=r"mps has no float64.*CPU"):
        fe.compress(tiny_model, method="svd", rank=4)
