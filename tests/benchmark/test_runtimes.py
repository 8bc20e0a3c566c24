"""The table of runtimes."""

from __future__ import annotations

from fwsvd_export.benchmark.runtimes import RUNTIME_FILES, RUNTIMES, TORCH


def test_torch_comes_first_and_every_other_runtime_has_a_file() -> None:
    assert RUNTIMES[0] == TORCH
    assert set(RUNTIMES) - set(RUNTIME_FILES) == {TORCH}
    assert len(set(RUNTIME_FILES.values())) == len(RUNTIME_FILES)
