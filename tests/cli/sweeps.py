"""Plain functions and word lists that tests of sweeps share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.sweep.store import read_result
from fwsvd_export.workflows import sweep_models

Sweep = Callable[..., dict[str, Any]]
GRID = ["--methods", "svd,fwsvd,kfac", "--ratios", "0.5,0.3"]
TRAINED = ["--training", "none,finetuned,distilled", "--finetune-epochs", "1", "--finetune-evaluations", "2"]


def table(result: dict[str, Any] | Path) -> list[dict[str, Any]]:
    """The rows without their seconds."""
    document = read_result(result).to_json() if isinstance(result, Path) else result
    return [{**row, "seconds": None} for row in document["rows"]]


def times(folder: Path) -> dict[str, int]:
    """When every cell and every file of statistics was written."""
    files = [*folder.glob("cells/*.json"), *folder.glob("statistics/*/*.safetensors")]
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}


def forbid_making(patch: pytest.MonkeyPatch) -> None:
    """From here on a model that is made is a failure."""
    patch.setattr(sweep_models.SweepModels, "made", lambda *arguments: pytest.fail("a cell was made again"))
