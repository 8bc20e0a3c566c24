"""What ``compress --for`` asks for."""

from __future__ import annotations

from dataclasses import dataclass

SIZE, LATENCY = "size", "latency"
GOALS = (SIZE, LATENCY)
USUAL_DEPLOYMENTS = ("onnxruntime-int8", "onnxruntime")
"""Runtimes that are tried where none is named."""


@dataclass(frozen=True)
class DeploymentRequest:
    """What is to be small, and where.

    Attributes:
        goal: of ``GOALS``: the runtime's file, or the time of one text.
        runtimes: keys of ``RUNTIME_FILES``, those first that are likely to win.
    """

    goal: str
    runtimes: tuple[str, ...] = USUAL_DEPLOYMENTS
