"""Which of several processes this one is, as launchers (torchrun, accelerate) tell it."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """Whether this process writes and talks: the first of its launch, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def processes() -> int:
    """How many processes of the launch work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))
