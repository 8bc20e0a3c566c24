"""What an export may be asked for."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import ExportError
from fwsvd_export.workflows.export import OnnxRequest
from fwsvd_export.workflows.source import Source


@pytest.mark.parametrize("opset", [16, 21])
def test_onnx_refuses_versions_of_the_operators_outside_the_range(opset: int) -> None:
    with pytest.raises(ExportError) as caught:
        OnnxRequest(Source("model"), opset=opset)
    assert f"opset {opset}" in str(caught.value)
    assert "17 to 20" in str(caught.value)
