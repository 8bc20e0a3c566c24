"""What is said of a folder that a clean process cannot load."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.hub.verify.clean_environment import check_loading


def said(folder: Path, seconds: float = 60) -> list[str]:
    return [finding.problem for finding in check_loading(folder, "AutoModel", seconds)]
