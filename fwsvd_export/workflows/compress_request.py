"""Everything that ``compress`` can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fwsvd_export.data.request import DataRequest
from fwsvd_export.records import RankRequest

if TYPE_CHECKING:
    from fwsvd_export.workflows.source import Source


@dataclass(frozen=True)
class CompressRequest:
    """Everything ``compress`` was asked for; ``data`` or ``fisher`` may be None where the method allows it.

    With ``max_drop`` the budget in ``size`` is not looked at: the smallest model is searched whose metric on
    ``validation`` (or on rows of ``data`` that calibration leaves) is at most that far below the dense one's. A folder
    ``report`` gets predicted and measured losses of every layer. ``command`` is what was typed, for the record.
    """

    source: Source
    out: Path
    method: str
    size: RankRequest
    data: DataRequest | None = None
    fisher: Path | None = None
    labels: str = "data"
    validation: DataRequest | None = None
    max_drop: float | None = None
    reconstruct: bool | None = None
    report: Path | None = None
    solver_options: Mapping[str, str] = field(default_factory=dict)
    dtype: str = "auto"
    overwrite: bool = False
    command: tuple[str, ...] = ()
