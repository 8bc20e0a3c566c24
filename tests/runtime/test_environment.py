"""The machine of a measurement."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest
import torch

from fwsvd_export.runtime.environment import machine


@pytest.mark.parametrize("threads", [None, 3])
def test_the_processor_and_the_versions_are_those_of_this_machine(threads: int | None) -> None:
    found = machine(threads, ("numpy",))
    assert (found.threads, found.gpu) == (threads, None)
    assert found.cpu.strip()
    assert {name: found.versions[name] for name in ("torch", "numpy", "python")} == {
        "torch": str(torch.__version__),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }
    assert next(iter(found.versions)) == "fwsvd-export"


def test_a_gpu_is_named_only_where_it_did_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert machine(None, device=torch.device("cuda", 1)).gpu == "card 1"
    assert machine(None, device=torch.device("cpu")).gpu is None
