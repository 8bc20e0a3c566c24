"""Requests made in Python refuse the values that the command line never passes on."""

from __future__ import annotations

import pytest

from fwsvd_export.benchmark.runtimes import RUNTIMES
from fwsvd_export.errors import DataError, ExportError
from fwsvd_export.workflows.bench import BenchRequest
from fwsvd_export.workflows.export import OnnxRequest
from fwsvd_export.workflows.source import Source


@pytest.mark.parametrize(("runtimes", "given"), [(("torch", "tensorrt"), "tensorrt"), ((), "none")])
def test_bench_refuses_runtimes_outside_the_table(runtimes: tuple[str, ...], given: str) -> None:
    with pytest.raises(DataError) as caught:
        BenchRequest((Source("model"),), runtimes)
    assert f"runtime {given}" in str(caught.value)
    assert all(name in str(caught.value) for name in RUNTIMES)


@pytest.mark.parametrize("opset", [16, 21])
def test_onnx_refuses_versions_of_the_operators_outside_the_range(opset: int) -> None:
    with pytest.raises(ExportError) as caught:
        OnnxRequest(Source("model"), opset=opset)
    assert f"opset {opset}" in str(caught.value)
    assert "17 to 20" in str(caught.value)
