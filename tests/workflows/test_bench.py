"""What a benchmark may be asked for."""

from __future__ import annotations

import pytest

from fwsvd_export.benchmark.runtimes import RUNTIMES
from fwsvd_export.errors import DataError
from fwsvd_export.workflows.bench import BenchRequest
from fwsvd_export.workflows.source import Source


@pytest.mark.parametrize(("runtimes", "given"), [(("torch", "tensorrt"), "tensorrt"), ((), "none")])
def test_bench_refuses_runtimes_outside_the_table(runtimes: tuple[str, ...], given: str) -> None:
    with pytest.raises(DataError) as caught:
        BenchRequest((Source("model"),), runtimes)
    assert f"runtime {given}" in str(caught.value)
    assert all(name in str(caught.value) for name in RUNTIMES)
