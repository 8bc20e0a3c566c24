"""A dry run makes the statistics that a compression makes, and none where a file has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import RankError
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.dry_run import run_dry
from fwsvd_export.workflows.fisher import run_fisher
from fwsvd_export.workflows.source import Source


def test_a_statistics_file_gives_the_forecast_of_its_data(tiny_folder: Path, data_file: Path, tmp_path: Path) -> None:
    source, data = Source(str(tiny_folder)), DataRequest(task_named("sst2"), file=data_file)
    run_fisher(source, tmp_path / "fisher.safetensors", data, collect=("kfac",), labels="data")
    size = RankRequest(Budget(ratio=0.3))
    plain = CompressRequest(source, tmp_path / "out", "kfac", size, data=data)
    stored = CompressRequest(source, tmp_path / "out", "kfac", size, fisher=tmp_path / "fisher.safetensors")
    first, second = run_dry(plain), run_dry(stored)
    assert first.sizes == second.sizes
    assert first.bend == second.bend


def test_a_method_that_iterates_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    request = CompressRequest(Source("nowhere"), tmp_path / "out", "em", RankRequest(Budget(ratio=0.3)))
    with pytest.raises(RankError, match=r"em solves one rank at a time.*without --dry-run"):
        run_dry(request)
