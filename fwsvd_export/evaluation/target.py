"""An accuracy target: how far a metric may be below the dense model's."""

from __future__ import annotations

from fwsvd_export.errors import RankError


def check_max_drop(max_drop: float) -> None:
    """Refuses a drop below zero.

    Raises:
        RankError: it is.
    """
    if not max_drop >= 0:
        raise RankError(f"max-drop {max_drop:g}: a number of at least 0 is allowed")
