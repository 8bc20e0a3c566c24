"""The table of runtimes."""

from __future__ import annotations

from fwsvd_export.benchmark.runtimes import OPENVINO, RUNTIME_FILES, RUNTIMES, TORCH, USUAL_RUNTIMES


def test_torch_comes_first_and_every_other_runtime_has_a_file() -> None:
    assert RUNTIMES[0] == TORCH
    assert set(RUNTIMES) - set(RUNTIME_FILES) == {TORCH}
    assert set(OPENVINO) < set(RUNTIME_FILES)
    assert set(USUAL_RUNTIMES) | set(OPENVINO) == set(RUNTIMES)
    usual = [RUNTIME_FILES[name] for name in USUAL_RUNTIMES[1:]]
    assert len(set(usual)) == len(usual)
