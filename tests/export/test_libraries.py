"""Libraries of the extra: found, or named with the extra that brings them."""

from __future__ import annotations

import sys

import pytest

from fwsvd_export.errors import MissingExtraError
from fwsvd_export.export.libraries import NEEDED, check_libraries, required


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_library_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_libraries()
    assert required(name).__name__ == name
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=name) as caught:
        check_libraries()
    assert "[onnx]" in str(caught.value)
