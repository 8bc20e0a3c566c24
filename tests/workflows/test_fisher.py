"""Statistics files of a run and of shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import OutputError, StatisticsError
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.workflows.fisher import run_fisher, run_merge
from fwsvd_export.workflows.source import Source


def test_a_run_writes_what_it_returns_and_a_merger_counts_every_file_once(
    tiny_folder: Path, data_file: Path, tmp_path: Path
) -> None:
    data = DataRequest(task_named("sst2"), file=data_file)
    source, file = Source(str(tiny_folder), device="cpu"), tmp_path / "a.safetensors"
    made = run_fisher(source, file, data, collect=("row",), labels="data")
    read = load_statistics(file)
    assert (read.examples, read.tokens, read.collected) == (made.examples, made.tokens, ("row",))
    assert read.examples == 48
    with pytest.raises(OutputError, match=r"a\.safetensors"):
        run_fisher(source, file, data, collect=("row",), labels="data")
    with pytest.raises(StatisticsError, match="more than once"):
        run_merge([file, tmp_path / "." / "a.safetensors"], tmp_path / "both")
    other = tmp_path / "b.safetensors"
    other.write_bytes(file.read_bytes())
    assert run_merge([file, other], tmp_path / "both").examples == 96
