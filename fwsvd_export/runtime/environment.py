"""What a measurement depends on beside the model: processor, threads, versions."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from fwsvd_export import __version__
from fwsvd_export.storage.schema import Count

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Environment:
    """The machine of a measurement and what ran on it.

    Attributes:
        cpu: the processor's name.
        cores: of the machine.
        gpu: its name where it did the work; None on the processor.
        threads: for one operator; None when the runtime chose.
        versions: library -> version.
    """

    cpu: str
    cores: Count | None
    gpu: str | None
    threads: Count | None
    versions: dict[str, str]


def machine(threads: int | None, libraries: tuple[str, ...] = (), device: torch.device | None = None) -> Environment:
    """The processor, and the GPU where one did the work, with the versions of what ran there.

    Args:
        threads: for one operator; None when the runtime chose.
        libraries: modules to name beside torch and transformers.
        device: where the model ran; None is the processor.
    """
    import torch  # late: who only reads what was measured does not wait for it

    return Environment(
        cpu=_cpu_name(),
        cores=os.cpu_count(),
        gpu=torch.cuda.get_device_name(device) if device is not None and device.type == "cuda" else None,
        threads=threads,
        versions=library_versions(*libraries),
    )


def library_versions(*libraries: str) -> dict[str, str]:
    """Versions of this package, of what it computes with, and of Python, in this order.

    Args:
        libraries: modules to name beside torch and transformers. A module says its version whatever its distribution is
            called (onnxruntime-gpu) and with its build (2.13.0+cpu).

    Example:
        >>> list(library_versions("numpy"))
        ['fwsvd-export', 'torch', 'transformers', 'numpy', 'python']
    """
    return {
        "fwsvd-export": __version__,
        **{name: str(import_module(name).__version__) for name in ("torch", "transformers", *libraries)},
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    """The processor's own name where the system tells it (Linux), else its architecture."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
